"""A .pt2 archive of `torch.export.save`, checked before torch reads it.

`torch.export.load` is not meant for files that are not trusted: it unpickles whatever the archive's own JSON says is
pickled (`torch/export/pt2_archive/_package.py`), evaluates the text of symbolic sizes, and takes any attribute of
torch, `math` and `operator` as what a node calls (`torch/_export/serde/serialize.py`). What `torch.export.save` writes
for an ordinary model needs none of that, so all of it is refused.

An archive may also hold compiled libraries, which its loader opens, and `torch.export.load` takes an older layout with
pickles where it cannot read the newer one. So only the members that are known are let through, as torch's own reader
names and reads them, and the loader of the newer layout is called without the older one behind it.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from refusal import Refused
from torch.export.pt2_archive import PT2ArchiveReader
from torch.export.pt2_archive._package import load_pt2  # the environment's lock names one torch

MEMBERS = re.compile(
    r"models/model\.json|data/sample_inputs/model\.pt|extra/.+"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)
OPERATORS = "add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|getitem|and_|or_"
CALLS = re.compile(
    rf"torch\.ops\.(aten|prims|prim)\.\w+\.\w+|_operator\.({OPERATORS})|math\.(ceil|floor|sqrt|trunc)|torch\.sym_\w+"
)
FUNCTIONS = "Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|FloorDiv|PythonMod|CeilDiv|Eq|Ne|Ge|Gt|Le|Lt"
SIZES = re.compile(rf"(Symbol\('\w+'(, \w+=True)*\)|[su]\d++|\d++(\.\d++)?|{FUNCTIONS}|[-+*/%(),<>= ])*+")
CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
CONFIG_LIMIT = 256 << 20  # bytes of JSON
PROGRAM = "model"  # as `torch.export.save` names it


def load_program(path: Path) -> torch.export.ExportedProgram:
    """The program of the archive; Refused when the file is damaged, or could run code when loaded."""
    try:
        check(PT2ArchiveReader(str(path)))
        program = load_pt2(str(path)).exported_programs[PROGRAM]
    except Refused as refused:
        raise Refused(f"loading {path}: {refused}", refused.hint, "model") from refused
    except Exception as error:  # torch's reader raises what it likes on a damaged archive
        reason = f"loading {path}: it is no archive of torch.export.save, or damaged ({type(error).__name__}: {error})"
        raise Refused(reason[:500], "write it with torch.export.save of the same torch", "model") from error
    program._guards_code = []  # text that running the program would execute
    return program


def check(archive: PT2ArchiveReader) -> None:
    names = archive.get_file_names()
    if len(names) != len(set(names)):
        raise Refused("two of its members have one name")
    for name in names:
        check_member(archive, name)


def check_member(archive: PT2ArchiveReader, name: str) -> None:
    if not MEMBERS.fullmatch(name):
        raise unsafe(f"it holds {name[:80]!r}, which torch.export.save does not write")
    if name.startswith("models/"):
        for key, value in walk(read_json(archive, name)):
            check_text(key, value)
    elif name.startswith("data/sample_inputs/"):
        check_tensors(archive.read_bytes(name))
    elif name.endswith("_config.json"):
        check_payloads(read_json(archive, name), name)


def read_json(archive: PT2ArchiveReader, name: str) -> Any:
    if archive.archive_file.get_record_size(name) > CONFIG_LIMIT:
        raise Refused(f"{name} is too large")
    return json.loads(archive.read_bytes(name))


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
