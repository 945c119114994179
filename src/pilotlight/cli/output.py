"""What the commands print, for people and, with --json, for programs."""

import json
import os
import sys

import click


def examples(*commands: str) -> str:
    """The epilog of a help page; \\b keeps click from wrapping it."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def line(text: str = "") -> None:
    """A line on stdout. When nobody reads it any more, as after `| head`, a server serves on in silence."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """For people, beside the answer: goes to stderr, so that what a program reads stays clean."""
    click.secho(text, err=True, dim=True)


def error(message: str, hint: str = "") -> None:
    """What ended the command; where --json was asked for, as one JSON object on stdout too."""
    if "--json" in sys.argv[1:]:
        record(error=message, hint=hint)
    explain(message, hint)


def explain(message: str, hint: str = "") -> None:
    """One sentence and its remedy, on stderr."""
    click.echo(f"{click.style('error:', fg='red')} {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='yellow')} {hint}", err=True)


def record(**fields: object) -> None:
    """One JSON object on a line of its own."""
    line(json.dumps(fields, ensure_ascii=False, default=str))
