"""A .pt2 archive of `torch.export.save`, checked before torch reads it.

`torch.export.load` is not meant for files that are not trusted: it unpickles whatever the archive's own JSON says is
pickled (`torch/export/pt2_archive/_package.py`), evaluates the text of symbolic sizes, and takes any attribute of
torch, `math` and `operator` as what a node calls (`torch/_export/serde/serialize.py`). What `torch.export.save` writes
for an ordinary model needs none of that, so all of it is refused.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from refusal import Refused

OPERATORS = "add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|getitem|and_|or_"
CALLS = re.compile(
    rf"torch\.ops\.(aten|prims|prim)\.\w+\.\w+|_operator\.({OPERATORS})|math\.(ceil|floor|sqrt|trunc)|torch\.sym_\w+"
)
FUNCTIONS = "Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|FloorDiv|PythonMod|CeilDiv|Eq|Ne|Ge|Gt|Le|Lt"
SIZES = re.compile(rf"(Symbol\('\w+'(, \w+=True)*\)|[su]\d++|\d++(\.\d++)?|{FUNCTIONS}|[-+*/%(),<>= ])*+")
CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
CONFIG_LIMIT = 256 << 20  # bytes of JSON


def load_program(path: Path) -> torch.export.ExportedProgram:
    """The program of the archive; Refused when the file is damaged, or could run code when loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            check(archive)
        program = torch.export.load(path)
    except Refused as refused:
        raise Refused(f"loading {path}: {refused}", refused.hint, "model") from refused
    except Exception as error:  # torch's reader raises what it likes on a damaged archive
        reason = f"loading {path}: it is no archive of torch.export.save, or damaged ({type(error).__name__}: {error})"
        raise Refused(reason[:500], "write it with torch.export.save of the same torch", "model") from error
    program._guards_code = []  # text that running the program would execute
    return program


def check(archive: zipfile.ZipFile) -> None:
    names = [name.partition("/")[2] for name in archive.namelist()]
    if len(names) != len(set(archive.namelist())):
        raise Refused("two of its members have one name")
    programs = [name for name in names if name.startswith("models/")]
    if len(programs) != 1:
        raise Refused(f"it holds {len(programs)} programs, where one is expected")
    for info, name in zip(archive.infolist(), names, strict=True):
        check_member(archive, info, name)


def check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
    if name.startswith("models/"):
        for key, value in walk(read_json(archive, info)):
            check_text(key, value)
    elif name.startswith("data/sample_inputs/"):
        check_tensors(archive.read(info))
    elif name.endswith("_config.json"):
        check_payloads(read_json(archive, info), name)
    elif re.fullmatch(r"data/(weights|constants)/.*\.pt", name):
        raise pickled(name)


def read_json(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.file_size > CONFIG_LIMIT:
        raise Refused(f"{info.filename} is too large")
    return json.loads(archive.read(info))


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every text and number, with the nearest name above it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, key)
    else:
        yield key, value


def check_text(key: str, value: Any) -> None:
    match key, value:
        case "target", str() if not CALLS.fullmatch(value) and not value.isidentifier():
            raise unsafe(f"it calls {value[:80]!r}")
        case "expr_str", str() if not SIZES.fullmatch(value):
            raise unsafe(f"a size is the expression {value[:80]!r}")
        case (("in_spec" | "out_spec"), str()) if value:
            for name, kind in walk(json.loads(value)):
                if name == "type" and kind not in CONTAINERS:
                    raise unsafe(f"it takes or gives the type {kind!r}")


def check_payloads(config: dict[str, Any], name: str) -> None:
    for weight, entry in config["config"].items():
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            raise pickled(f"{name}: {weight}")


def check_tensors(data: bytes) -> None:
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # of the unpickler that knows tensors alone
        raise pickled("the sample inputs") from error


def pickled(what: str) -> Refused:
    return unsafe(f"{what}: a pickle that could hold more than tensors")


def unsafe(reason: str) -> Refused:
    return Refused(
        f"it could run code when loaded, and was not: {reason}", "export the model to ONNX where you trust it"
    )
