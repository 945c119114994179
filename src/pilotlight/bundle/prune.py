"""What of installed libraries inference never imports, and why: measured in decision 25.

Paths are below the folder that libraries are installed in. Where a library is needed as a C library alone, all of its
Python stays here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple


class Rule(NamedTuple):
    """Files whose path matches one of `patterns`, in which `*` takes "/" too, are left out for `reason`, unless some
    other library's code names one of the modules `unless`, or the function's."""

    reason: str
    patterns: tuple[str, ...]
    unless: tuple[str, ...] = ()


def _tools(package: str, *names: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(f"{package}/{name}/*" for name in names), tuple(f"{package}.{name}" for name in names)


RULES = (
    Rule("compiled by another Python", ("*.pyc",)),
    Rule(
        "for compilers and type checkers",
        ("*.pyi", "*.h", "*.hpp", "*.pxd", "*.pyx", "*.a", "*.lib", "*.c", "*/py.typed"),
    ),
    Rule("commands", ("bin/*", "share/*")),
    Rule("tests", ("*/tests/*", "*/test/*", "*/conftest.py")),
    Rule(
        "records of the installation",
        (
            ".lock",
            *(
                f"*.dist-info/{name}"
                for name in ("RECORD", "INSTALLER", "REQUESTED", "WHEEL", "uv_cache.json", "direct_url.json")
            ),
        ),
    ),
    Rule("numpy for Fortran", *_tools("numpy", "f2py")),
    Rule("numpy for type checkers", *_tools("numpy", "typing")),
    Rule("numpy for compilers", ("numpy/_core/include/*", "numpy/_core/lib/*")),
    Rule(
        "ONNX Runtime's tools",
        *_tools("onnxruntime", "transformers", "quantization", "tools", "datasets", "backend"),
    ),
    Rule("ONNX Runtime's C library, which its Python module has in itself", ("onnxruntime/capi/libonnxruntime.so*",)),
    Rule("LiteRT's tools", *_tools("ai_edge_litert", "tools", "aot", "vendors")),
    Rule(
        "LiteRT for graphics processors, and its C library, which its interpreter has in itself",
        ("ai_edge_litert/libLiteRt*.so",),
        ("ai_edge_litert.compiled_model",),
    ),
)
ALONE = {  # what a C library is by itself, and where its Python is
    "onnxruntime": (
        ("onnxruntime/capi/libonnxruntime.so*", "onnxruntime/LICENSE*", "onnxruntime/ThirdPartyNotices*"),
        "onnxruntime/*",
    ),
    "ai-edge-litert": (("ai_edge_litert/libLiteRt.so",), "ai_edge_litert/*"),
}


def reasons(paths: Sequence[str], alone: Iterable[str], read: Callable[[str], bytes]) -> Mapping[str, str]:
    """The paths that are left out, each with its reason; the libraries `alone` are needed as C libraries alone.

    `read` gives a file's bytes: whether a library names a module is seen from its code.
    """
    only = tuple(alone)
    named = _named(paths, read)
    rules = [rule for rule in RULES if not named.intersection(rule.unless)]
    return {path: reason for path in paths if (reason := _reason(path, only, rules))}


def _named(paths: Iterable[str], read: Callable[[str], bytes]) -> set[str]:
    """The modules of rules that code outside their package names."""
    modules = {name: name.encode() for rule in RULES for name in rule.unless}
    found: set[str] = set()
    for path in paths:
        if path.endswith(".py"):
            top, text = path.partition("/")[0], read(path)
            found |= {name for name, each in modules.items() if name.partition(".")[0] != top and each in text}
    return found


def _reason(path: str, alone: tuple[str, ...], rules: Iterable[Rule]) -> str:
    for patterns, package in (ALONE[name] for name in alone):
        if any(fnmatchcase(path, pattern) for pattern in patterns):
            return ""
        if fnmatchcase(path, package):
            return f"{package.partition('/')[0]} runs in its C library: nothing imports its Python module"
    return next((rule.reason for rule in rules if any(fnmatchcase(path, pattern) for pattern in rule.patterns)), "")
