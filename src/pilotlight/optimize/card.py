"""The model card: what a model folder is, where it came from, how it was made, how near it is to the original."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotlight.optimize import report, tasks


def write(made: Mapping[str, Any], own: Path) -> str:
    """The card for the report `made`; `own` is where the source's own card may be."""
    parts = [_head(made), _origin(made), _fidelity(made), _cost(made), _limits(made), _own(own)]
    return "\n".join(part for part in parts if part)


def _head(made: Mapping[str, Any]) -> str:
    return (
        f"# {made['source']['name']}\n\n"
        f"A model that {tasks.find(made['task']).description} (`{made['task']}`), for Pilotlight: {_what(made)}, "
        f"{made['parameters']:,} parameters, weights in {report.weights(made)}.\n"
    )


def _what(made: Mapping[str, Any]) -> str:
    return "a file of TensorFlow Lite" if report.is_lite(made) else "an ONNX graph that was optimised offline"


def _origin(made: Mapping[str, Any]) -> str:
    source = made["source"]
    facts = [
        ("source", f"{source['name']} ({source['kind']})"),
        ("revision", source["revision"] or "not known"),
        ("licence", source["license"] or "not named by the source: find out before you pass this on"),
        ("command", f"`{made['command']}`"),
        ("versions", ", ".join(f"{name} {version}" for name, version in made["versions"].items())),
    ]
    return f"## Origin\n\n{_table(('', ''), facts)}\n"


def _fidelity(made: Mapping[str, Any]) -> str:
    found, gate = made["fidelity"], made["fidelity"]["gate"]
    sampled = found["samples"]
    rows = _table(("", "fp32 graph against the original", "final against fp32"), report.fidelity_rows(made))
    if found["final"]["before"]:
        rows = f"{rows}\n\nMeasures are in percent: of the fp32 graph, and of the final one."
    return (
        f"## Fidelity\n\nOver {sampled['count']} samples ({sampled['file']}). Asked for: an agreement of at least "
        f"{gate['agreement']:g}, and a loss of at most {gate['loss']:g} points where samples say what is right.\n\n"
        f"{rows}\n"
    )


def _cost(made: Mapping[str, Any]) -> str:
    machine = made["machine"]
    rows = _table(("", "before", "after", ""), report.rows(made))
    return (
        f"## Size and time\n\nOn {machine['cpus']} vCPU of {machine['processor']}, {report.shown(made)}, page "
        "cache warm. Before: the source's own framework, with all that it needs on the disk. After: this folder with "
        f"{'LiteRT' if report.is_lite(made) else 'ONNX Runtime'}'s library; Python itself counts in neither.\n\n"
        f"{rows}\n\nMemory after: {made['after']['pss_mb']:.0f} MB.\n"
    )


def _limits(made: Mapping[str, Any]) -> str:
    lines = ["Times hold for this machine; compare ratios."]
    if made["precision"]["int8"]:
        if left := report.left(made):
            lines.append(f"Left in fp32, since answers would suffer: {left}.")
        lines.append(
            "int8 is fast and exact on processors with VNNI. On x86-64 without it, sums of two products may saturate: "
            "run `pilotlight optimize` there to see whether the gate still passes."
        )
    if made["prefer"] == "warm":
        lines.append("The weights are packed for the kind of processor above. On another kind, make the folder again.")
    if made["fidelity"]["samples"]["file"] == "bundled":
        lines.append("The samples are few and in English; measure on your own with `--samples`.")
    if made["graph"]["note"]:
        lines.append(f"The graph: {made['graph']['note']}.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def _own(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    body = re.sub(r"\A---\s*\n.*?\n---\s*\n", "", text, flags=re.DOTALL)
    return f"## The source's own card\n\n{_lowered(body.strip())}\n"


def _lowered(body: str) -> str:
    """Its headings two levels down; in a fenced block # begins a comment."""
    fenced_or_heading = re.compile(r"^(```|~~~).*?^\1[^\S\n]*$|^(#{1,4} )", re.MULTILINE | re.DOTALL)
    return fenced_or_heading.sub(lambda found: f"##{found[2]}" if found[2] else found[0], body)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
