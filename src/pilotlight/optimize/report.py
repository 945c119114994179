"""What a run found, as one JSON object: where the model came from, what it gives, what it takes before and after."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pilotlight

if TYPE_CHECKING:
    from pilotlight.optimize.exporters import Export
    from pilotlight.optimize.fidelity import Gate
    from pilotlight.optimize.pipeline import Options
    from pilotlight.optimize.source import Source

FORMAT = 1


def make(
    options: Options,
    source: Source,
    export: Export,
    gate: Gate,
    count: int,
    done: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """`done` is what each step of the pipeline gave, `count` the number of samples."""
    compared, timing, before = done["layout"]["final"], done["measure"]["timing"], done["reference"]
    return {
        "format": FORMAT,
        "task": options.task,
        "source": {"name": source.name, "kind": source.kind, "revision": source.revision, "license": export.license},
        "command": options.command,
        "parameters": export.parameters,
        "precision": {name: done["int8"][name] for name in ("int8", "fp32")},
        "prefer": options.prefer,
        "graph": {"note": done["graph"]["note"], "operators": done["layout"]["operators"]},
        "fidelity": {
            "samples": {"count": count, "file": options.samples.name if options.samples else "bundled"},
            "gate": {"agreement": gate.agreement, "loss": gate.allowed(compared["labelled"])},
            "fp32": done["layout"]["fp32"],
            "final": compared,
        },
        "before": {"cold_ms": before["cold_ms"], "p50_ms": before["warm_ms"], "bytes": before["disk_bytes"]},
        "after": timing,
        "tokens": done["measure"]["tokens"],
        "machine": machine(),
        "versions": {**export.versions, **versions()},
    }


def rows(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What the model takes: a title, before, after, and how many times less."""
    before, after = report["before"], report["after"]

    def row(title: str, name: str, scale: float, unit: str) -> tuple[str, str, str, str]:
        old, new = before[name] * scale, after[name] * scale
        return title, f"{old:,.1f} {unit}", f"{new:,.1f} {unit}", f"{old / new:.1f}x" if new else ""

    return [
        row("cold start, process to first answer", "cold_ms", 1, "ms"),
        row("warm, median", "p50_ms", 1, "ms"),
        row("on the disk", "bytes", 1e-6, "MB"),
    ]


def fidelity_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """How near the outputs are: a title, for the fp32 graph against the original, for the final one against fp32."""
    fp32, final = report["fidelity"]["fp32"], report["fidelity"]["final"]
    difference = final["difference"]
    found = [
        ("largest difference", f"{fp32['largest']:.3g}", f"{difference['largest']:.3g}"),
        ("mean difference", f"{fp32['mean']:.3g}", f"{difference['mean']:.3g}"),
        ("smallest cosine", f"{fp32['cosine']:.5f}", f"{difference['cosine']:.5f}"),
        ("agreement", "", f"{final['agreement']:.3f}"),
    ]
    measures = final["before"].items()
    return found + [(name, f"{value:.2f}", f"{final['after'][name]:.2f}") for name, value in measures]


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
