"""`pilotlight optimize`: a trained model becomes a model folder that starts cold fast."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pilotlight.artifacts import Timing
from pilotlight.cli import output, progress
from pilotlight.errors import UsageError
from pilotlight.optimize import tasks
from pilotlight.optimize.progress import Progress

OF_PICTURES = ("form", "preprocess", "labels", "size", "resample", "fit", "resize")


@click.command(
    epilog=output.examples(
        "pilotlight optimize ./my-reader --task question-answering --out models/qa",
        "pilotlight optimize hf://org/name@main --task text-classification --out models/tone",
        "pilotlight optimize encoder.onnx --task sentence-embedding --out models/encoder --precision int8",
        "pilotlight optimize ./my-reader --task question-answering --out models/qa --samples dev.jsonl --max-loss 0.3",
        "pilotlight optimize xception.keras --task image-classification --preprocess inception --resample nearest"
        " --samples photos --labels labels.txt --out models/clothing",
        "pilotlight optimize hf://Helsinki-NLP/opus-mt-en-zh --task translation --out models/en-zh",
        "pilotlight optimize saved_model --task image-classification --format tflite --samples photos --out m",
    )
)
@click.argument("source")
@click.option(
    "--task",
    required=True,
    help=f"What the model is for: {', '.join([*tasks.TASKS, *tasks.PICTURES, *tasks.SEQUENCES])}.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The model folder to write.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    help='JSON lines to compare answers on, such as {"question", "context", "answers"}; of a picture model a folder of '
    "pictures, one folder inside for each label if you like.  [default: bundled ones, of texts only]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "fp32"]),
    default="auto",
    show_default=True,
    help="auto: int8 but for the parts that answers suffer from. int8: all of it, or an error.",
)
@click.option(
    "--prefer",
    type=click.Choice(["cold", "warm"]),
    default="cold",
    show_default=True,
    help="cold: weights are mapped as they are. warm: packed for this kind of processor, in a larger file.",
)
@click.option(
    "--min-agreement", type=click.FloatRange(0, 1), help="Share of equal answers; of vectors, the least cosine."
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Points of the task's measure that int8 may lose.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "tflite"]),
    default="onnx",
    show_default=True,
    help="Pictures: what is written. tflite is for Keras, SavedModels and .tflite itself.",
)
@click.option(
    "--preprocess",
    default="none",
    show_default=True,
    help="Pictures: what the graph does with pixels of 0 to 255. none; unit: / 255; inception: / 127.5 - 1; "
    "torchvision: mean and deviation of ImageNet.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="Pictures: a text file, one label a line, in order.")
@click.option("--size", type=click.IntRange(0), default=0, help="Pictures: of a model that takes any size.")
@click.option(
    "--resample",
    type=click.Choice(["nearest", "box", "bilinear", "bicubic", "lanczos"]),
    default="bilinear",
    show_default=True,
    help="Pictures: how one is brought to the model's size, as its trainer did.",
)
@click.option(
    "--fit",
    type=click.Choice(["stretch", "crop"]),
    default="stretch",
    show_default=True,
    help="Pictures: stretched to the size whatever the proportions, or the middle cut out.",
)
@click.option(
    "--resize", type=click.IntRange(0), default=0, help="Pictures: the shorter side before the middle is cut out."
)
@click.option("--force", is_flag=True, help="Replace the model folder that is at --out.")
@click.option("--fresh", is_flag=True, help="Start anew instead of going on with a run that was broken off.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def optimize(
    source: str,
    task: str,
    out: Path,
    samples: Path | None,
    precision: str,
    prefer: str,
    min_agreement: float | None,
    max_loss: float,
    force: bool,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
    **pictures: Any,
) -> None:
    """Turn a trained model into a small, fast model folder, and report what that changed.

    SOURCE is a folder of transformers, hf://org/name, hf://org/name@revision, a .pt2 or an .onnx file; of a picture
    model a .keras, .tflite, .pt2 or .onnx file, or the folder of a SavedModel. The graph is optimised offline and its
    weights quantised to int8 as far as the answers to samples stay the same; else nothing is written. A run that was
    broken off goes on where it was.
    """
    common = {
        **{"source": source, "task": task, "out": out, "samples": samples, "precision": precision, "prefer": prefer},
        **{"agreement": min_agreement, "loss": max_loss, "force": force, "fresh": fresh, "command": _command()},
    }
    pipeline, options = _chosen(task, common, pictures)
    pipeline.check(options)
    if dry_run:
        _plan(pipeline.plan(options), as_json)
        return
    try:
        with progress.shown() as shown:
            made = pipeline.optimize(options, time_model, shown)
    except KeyboardInterrupt:
        output.note(f"What is done is in {pipeline.partial(out)}: the same command goes on from there.")
        raise
    if as_json:
        output.record(**made)
    else:
        _show(made)


def _chosen(task: str, common: dict[str, Any], pictures: dict[str, Any]) -> tuple[Any, Any]:
    """The pipeline of the task, and its options. UsageError for options of pictures where texts are read."""
    if task in tasks.PICTURES:
        from pilotlight.optimize.pictures import pipeline as of_pictures

        return of_pictures, of_pictures.Options(**common, format=pictures.pop("form"), **pictures)

    pipeline = of_texts(task)
    _refuse_pictures(task)
    return pipeline, pipeline.Options(**common)


def _refuse_pictures(task: str) -> None:
    """UsageError for options of pictures."""
    context = click.get_current_context()
    given = [name for name in OF_PICTURES if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        name = "format" if given[0] == "form" else given[0]
        raise UsageError(f"--{name} is for pictures, and {task} reads texts", "leave it out, or choose another --task")


def of_texts(task: str) -> Any:
    """The pipeline of a task that reads texts."""
    if task in tasks.SEQUENCES:
        from pilotlight.optimize.sequences import pipeline as of_sequences

        return of_sequences

    from pilotlight.optimize import pipeline  # what it brings along is not for the start of every other command

    tasks.find(task)
    return pipeline


def time_model(model: Path, feeds: Mapping[str, tuple[str, tuple[int, ...]]], runs: int, shown: Progress) -> Timing:
    from pilotlight.measure import model as measure

    made_up = {name: measure.Feed(dtype, shape) for name, (dtype, shape) in feeds.items()}
    return measure.time_model(model, made_up, runs, lambda done, total: shown.count("fresh processes", done, total))


def _command() -> str:
    """As it was typed, but of every path only its name: the card is passed on, and folders say who made it where."""
    return shlex.join(["pilotlight", *map(_named, sys.argv[1:])])


def _named(word: str) -> str:
    option, given, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if "://" in value or ("/" not in value and value not in (".", "..", "~")):
        return word
    return f"{option}{given}{Path(os.path.abspath(Path(value).expanduser())).name}"


def _plan(plan: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.record(**plan)
        return
    output.line(f"Source    {plan['source']}")
    output.line(f"Task      {plan['task']}: {tasks.find(plan['task']).description}")
    output.line(f"Samples   {plan['samples']}")
    if plan["environment"]:
        output.line(f"Makes     {plan['environment']}")
    output.line(f"Goes on   after {plan['finished'][-1]}" if plan["finished"] else "Begins    at the first step")
    output.line(f"Writes    {plan['out']}{' in the place of what is there' if plan['replaces'] else ''}")


def _show(made: Mapping[str, Any]) -> None:
    from pilotlight.optimize import report

    machine = made["machine"]
    output.line(f"\nFidelity over {made['fidelity']['samples']['count']} samples\n")
    _table([("", "fp32 graph to original", "final to fp32"), *report.fidelity_rows(made)])
    output.line(f"\nOn {machine['cpus']} vCPU of {machine['processor']}, {report.shown(made)}\n")
    _table([("", "before", "after", ""), *report.rows(made)])
    if made["graph"]["note"]:
        output.line(f"\nThe graph: {made['graph']['note']}.")
    output.line(f"\nWeights in {report.weights(made)}.")
    if made["precision"]["int8"] and (left := report.left(made)):
        output.line(f"\nLeft in fp32: {left}")
    output.line(f"\nWrote {made['out']}: {sum(made['files'].values()) / 1e6:.1f} MB.")


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        output.line("  ".join([f"  {first:{widths[0]}}", *cells]).rstrip())
