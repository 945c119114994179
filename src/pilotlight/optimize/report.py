"""What a run found, as one JSON object: where the model came from, what it gives, what it takes before and after."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pilotlight
from pilotlight.function import litert
from pilotlight.function.ort import find_library
from pilotlight.optimize.tasks import PICTURES, SEQUENCES

if TYPE_CHECKING:
    from pilotlight.optimize.fidelity import Gate
    from pilotlight.optimize.pipeline import Options
    from pilotlight.optimize.source import Source

    class Exported(Protocol):
        """What is known of an exported model, whatever it reads."""

        @property
        def parameters(self) -> int: ...
        @property
        def versions(self) -> Mapping[str, str]: ...
        @property
        def license(self) -> str: ...


FORMAT = 1


def make(
    options: Options,
    source: Source,
    export: Exported,
    gate: Gate,
    count: int,
    done: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """`done` is what each step of the pipeline gave, `count` the number of samples. What is no number is None."""
    compared, timing, before = done["layout"]["final"], done["measure"]["timing"], done["reference"]
    measured = {name: value for name, value in done["measure"].items() if name not in ("timing", "lite")}
    found = {
        "format": FORMAT,
        "task": options.task,
        "source": {"name": source.name, "kind": source.kind, "revision": source.revision, "license": export.license},
        "command": options.command,
        "parameters": export.parameters,
        "precision": {"asked": options.precision, **{name: done["int8"][name] for name in ("int8", "fp32")}},
        "prefer": options.prefer,
        "graph": {"note": done["graph"]["note"], "operators": done["layout"]["operators"]},
        "fidelity": {
            "samples": {"count": count, "file": options.samples.name if options.samples else "bundled"},
            "gate": {"agreement": gate.agreement, "loss": gate.allowed(compared["labelled"])},
            "fp32": done["layout"]["fp32"],
            "final": compared,
        },
        "before": {"cold_ms": before["cold_ms"], "p50_ms": before["warm_ms"], "bytes": before["disk_bytes"]},
        "after": {**timing, "runtime_bytes": runtime_bytes(done["measure"].get("lite", False))},
        **measured,
        "machine": machine(),
        "versions": {**export.versions, **versions()},
    }
    finite: dict[str, Any] = _finite(found)
    return finite


def _finite(value: Any) -> Any:
    """The same as JSON can say it: None for infinity and what is no number."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {name: _finite(each) for name, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
    return value


def is_lite(report: Mapping[str, Any]) -> bool:
    """Whether the model is a file of TensorFlow Lite."""
    return bool(report.get("model") == "model.tflite")


def shown(report: Mapping[str, Any]) -> str:
    """How large the input was that was timed."""
    return f"{report['tokens']} tokens" if "tokens" in report else f"{report['pixels']} pixels"


def weights(report: Mapping[str, Any]) -> str:
    """What the weights are in."""
    asked, int8, fp32 = (report["precision"][name] for name in ("asked", "int8", "fp32"))
    if int8:
        return f"int8 in {len(int8)} of {len(int8) + len(fp32)} parts"
    if asked == "fp32":
        return "fp32"
    return "fp32, since no choice of parts in int8 passed" if fp32 else "fp32, since no part of it can be in int8"


def left(report: Mapping[str, Any]) -> str:
    """The names of the parts that are in fp32, the worst first; "" for none."""
    return ", ".join(part["node"] for part in report["precision"]["fp32"])


def rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What the model takes: a title, before, after, and how many times less."""
    before, after = report["before"], report["after"]

    def row(title: str, old: float, new: float, unit: str) -> tuple[str, str, str, str]:
        return title, f"{old:,.1f} {unit}", f"{new:,.1f} {unit}", f"{old / new:.1f}x" if new else ""

    disk = before["bytes"] / 1e6, (after["bytes"] + after["runtime_bytes"]) / 1e6
    return [
        row(
            f"cold start, process to first {_first(report)}, {_tokenizer(report)}",
            before["cold_ms"],
            after["cold_ms"],
            "ms",
        ),
        row("warm, median", before["p50_ms"], after["p50_ms"], "ms"),
        row("on the disk, with the runtime", *disk, "MB"),
    ]


def _first(report: Mapping[str, Any]) -> str:
    return "translation" if report["task"] in SEQUENCES else "output of the graph"


def _tokenizer(report: Mapping[str, Any]) -> str:
    """Of transformers the tokenizer is loaded with the model; the finished model is timed without."""
    if report["task"] in PICTURES:
        return "decoding not included"
    if report["task"] in SEQUENCES:
        return "tokenizer included after only"
    return "tokenizer loaded before only" if report["source"]["kind"] == "transformers" else "tokenizer not included"


def fidelity_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """How near the outputs are: a title, for the fp32 graph against the original, for the final one against fp32."""
    fp32, final = report["fidelity"]["fp32"], report["fidelity"]["final"]
    difference = final["difference"]
    found = [
        ("largest difference", _short(fp32["largest"]), _short(difference["largest"])),
        ("mean difference", _short(fp32["mean"]), _short(difference["mean"])),
        ("smallest cosine", f"{fp32['cosine']:.5f}", f"{difference['cosine']:.5f}"),
        ("agreement", "", f"{final['agreement']:.3f}"),
    ]
    if tokens := report["fidelity"].get("tokens"):
        said = ", ".join(f"{same} of {tokens['of']} with {beams} beams" for beams, same in tokens["equal"].items())
        found.append(("the same tokens", said, ""))
    measures = final["before"].items()
    return found + [(name, f"{value:.2f}", f"{final['after'][name]:.2f}") for name, value in measures]


def _short(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def runtime_bytes(lite: bool = False) -> int:
    """Of the library of ONNX Runtime or LiteRT, which is all of it that serving loads."""
    library = litert.find_library() if lite else find_library()
    return Path(library).stat().st_size if library else 0


def machine() -> dict[str, Any]:
    """The processor by its model name, and how many of it this process may use."""
    import os

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"processor": next(names, platform.machine()), "cpus": len(os.sched_getaffinity(0))}


def versions() -> dict[str, str]:
    libraries = {name: metadata.version(name) for name in ("onnxruntime", "onnx", "numpy")}
    return {"pilotlight": pilotlight.__version__, "python": platform.python_version(), **libraries}


def files(folder: Path) -> dict[str, int]:
    """The bytes of each file in `folder`."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def size(folder: Path) -> int:
    return sum(files(folder).values())
