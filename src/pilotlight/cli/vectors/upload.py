"""`pilotlight vectors upload`: a file of vectors into a table."""

import os
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import click

from pilotlight.cli import output, progress
from pilotlight.cli.vectors.convert import dim_option, file_argument, format_option, megabytes
from pilotlight.cli.vectors.problems import Problems, all_option, read_list, skip_option, words_option
from pilotlight.cli.vectors.tables import dir_option, find, table_option
from pilotlight.errors import VectorError
from pilotlight.function.table import Address, Table, connect_uri
from pilotlight.optimize.environment import home
from pilotlight.optimize.progress import Progress
from pilotlight.vectors import source
from pilotlight.vectors.source import Format
from pilotlight.vectors.upload import HALF, SINGLE, Done, Journal, Upload, send


@click.command(
    epilog=output.examples(
        "pilotlight vectors upload glove.6B.300d.txt --words words.txt --dry-run",
        "pilotlight vectors upload GoogleNews-vectors-negative300.bin.gz --dir examples/sentences",
        "pilotlight vectors upload vectors.txt --single --table 'dynamodb://glove-300?key=word'",
    )
)
@file_argument
@table_option
@dir_option
@words_option
@click.option("--half/--single", default=True, help="Numbers of 2 bytes, with 3 digits, or of 4.  [default: half]")
@format_option
@dim_option
@skip_option
@all_option
@click.option("--fresh", is_flag=True, help="Start anew instead of going on with an upload that was broken off.")
@click.option("--dry-run", is_flag=True, help="Check the file, and say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: what is in the table now.")
def upload(
    file: Path,
    name: str,
    folder: Path,
    listed: BinaryIO | None,
    half: bool,
    format: Format | None,
    dim: int | None,
    skip_broken: bool,
    all_problems: bool,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put the vectors of FILE into a table; FILE is of word2vec or GloVe, in text or binary, perhaps in gzip.

    The whole file is checked before anything is stored. A word that is in the table already is replaced. An upload that
    was broken off goes on where it was, when the same command is given again and the file has not changed.
    """
    address = find(name, folder)
    wanted = frozenset(read_list(listed, skip_broken, all_problems)) if listed else None
    work = Upload(file, source.survey(file, format, dim), HALF if half else SINGLE, address.key, wanted)
    journal = Journal(home() / "uploads", {**work.identity(), **_place(address)})
    with closing(connect_uri(str(address))) as table, progress.shown() as told:
        earlier = _earlier(journal, table, fresh)
        done = earlier if earlier and not dry_run else Done(_check(work, told, skip_broken, all_problems))
        if not dry_run:
            _send(work, table, journal, done, told)
    if as_json:
        output.record(
            table=str(address), vectors=done.total, dim=work.layout.dim, type=work.kind.name, stored=not dry_run
        )
    elif dry_run:
        _show(work, address, done.total, earlier)
    else:
        output.line(f"{address} has {done.total} vectors of {work.layout.dim} numbers from {file}.")


def _place(address: Address) -> dict[str, object]:
    """Where the table is, beyond its name, and whoever writes it."""
    variables = (
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
    )
    account = [os.environ.get(name, "") for name in variables] if address.store == "dynamodb" else []
    return {"table": address._replace(writer=""), "account": account}


def _earlier(journal: Journal, table: Table, fresh: bool) -> Done | None:
    """How far an upload came that was broken off; not if the last word that it stored is gone with the table.

    Raises `TableError` when the table cannot be read, which is better known before the file is.
    """
    done = journal.read()
    found = table.get([done.word if done else "the"])
    return done if found and not fresh else None


def _check(work: Upload, told: Progress, skip: bool, every: bool) -> int:
    """How many vectors there are to store. Raises `VectorError`."""
    told.step(1, 2, f"checking {work.file}")
    problems = Problems(str(work.file), every, told.say, work.layout.unit)
    total = sum(1 for _ in work.items(problems, megabytes(told, "MB checked")))
    problems.end(skip)
    if not total:
        raise VectorError(f"reading {work.file}: it has none of the words" if work.wanted else f"{work.file}: no words")
    return total


def _send(work: Upload, table: Table, journal: Journal, done: Done, told: Progress) -> None:
    if done.items:
        told.say(f"Going on after {done.items} of {done.total} vectors; --fresh starts anew.")
    told.step(2, 2, "storing vectors")

    def stored(now: Done) -> None:
        nonlocal done
        done = now
        journal.note(now)
        told.count("vectors", now.items, now.total)

    try:
        send(work.items(lambda problem: None), table, done, stored)  # which were told before
    except BaseException:
        if done.items:
            journal.save(done)
            told.say(f"{done.items} of {done.total} vectors are in the table: the same command goes on from there.")
        raise
    journal.remove()


def _show(work: Upload, address: Address, total: int, earlier: Done | None) -> None:
    layout, wanted = work.layout, work.wanted
    output.line(f"Reads   {work.file}: {layout.format}, {layout.dim} numbers a word")
    output.line(f"Stores  {total} words" + ("" if wanted is None else f" of the {len(wanted)} in the list"))
    output.line(f"        {layout.dim * work.kind.size} bytes each, type {work.kind.name}")
    output.line(f"Into    {address}")
    output.line(f"Goes on after {earlier.items} words" if earlier else "Begins  at the first word")
