"""`pilotlight cache`: the models that URIs name, as they are kept on this machine or on a mounted file system."""

import os
import time
from pathlib import Path

import click

from pilotlight.cli import output
from pilotlight.errors import UsageError
from pilotlight.function import cache as kept
from pilotlight.function import cache_entries
from pilotlight.function.cache_entries import MB, Entry, Manifest
from pilotlight.function.cache_lock import IN_USE, UNKNOWN
from pilotlight.settings_file import nearest

_DAY = 86_400.0

_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the models are, such as EFS's mount.  [default: the machine's cache folder]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line instead of text.")
_force = click.option(
    "--force",
    is_flag=True,
    help="Also what cannot be known to be unused, as where a file system has no locks; never what is in use.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be removed.")


@click.group()
def cache() -> None:
    """Look after models that were fetched (hf://, s3://), and those that were made of them.

    They are kept in the machine's cache folder, which PILOTLIGHT_CACHE names, or in the folder of [cache] in the
    settings. Functions fetch what is not there.
    """


@cache.command(
    "list", epilog=output.examples("pilotlight cache list", "pilotlight cache list --folder /mnt/models --json")
)
@_folder
@_json
def list_command(folder: Path | None, as_json: bool) -> None:
    """List what is kept, what was used last at the top."""
    found = cache_entries.entries(_root(folder))[::-1]
    for each in found:
        if as_json:
            output.record(**_fields(each))
        else:
            output.line(_line(each))
    if not as_json:
        output.line(f"{sum(each.bytes for each in found) / MB:.1f} MB in {_root(folder)}")


@cache.command(
    epilog=output.examples(
        "pilotlight cache fetch hf://org/name@v1.0",
        "pilotlight cache fetch s3://bucket/models/qa --folder /mnt/models",
    )
)
@click.argument("uri")
@_folder
@_json
def fetch(uri: str, folder: Path | None, as_json: bool) -> None:
    """Fetch the model that URI names, as a function would, and print where it is.

    It fills a folder that functions see read-only. A download that was broken off goes on where it was.
    """
    if folder is not None:
        os.environ[kept.VARIABLE] = str(folder)
    path = kept.fetch(uri)
    if as_json:
        output.record(uri=uri, path=path)
    else:
        output.line(path)


@cache.command(
    epilog=output.examples(
        "pilotlight cache prune --older 30 --dry-run",
        "pilotlight cache prune --size 20000",
        "pilotlight cache prune --folder /mnt/models --older 90",
    )
)
@click.option("--older", type=click.FloatRange(0), metavar="DAYS", help="Remove what was used last that long ago.")
@click.option("--size", type=click.IntRange(0), metavar="MB", help="Remove what was used longest ago, down to this.")
@_force
@_dry_run
@_folder
@_json
def prune(
    older: float | None, size: int | None, force: bool, dry_run: bool, folder: Path | None, as_json: bool
) -> None:
    """Remove what has not been used for long, and downloads that nobody has gone on with for a day.

    What a process uses, on this machine or on another that has the folder mounted, stays.
    """
    chosen = _chosen(cache_entries.entries(_root(folder)), older, size)
    _remove(chosen, force, dry_run, as_json)


@cache.command(
    epilog=output.examples(
        "pilotlight cache remove hf://org/name --dry-run", "pilotlight cache remove hf://org/name@v1.0 s3://bucket/qa"
    )
)
@click.argument("uris", nargs=-1, required=True)
@_force
@_dry_run
@_folder
@_json
def remove(uris: tuple[str, ...], force: bool, dry_run: bool, folder: Path | None, as_json: bool) -> int:
    """Remove what is kept of URIS; the next use fetches it anew, and so the newest of a branch.

    hf://org/name is its branch main, and what was optimised of it. The exit code is 1 when something stays, as it is
    in use, or may be.
    """
    found = cache_entries.entries(_root(folder))
    chosen = [each for uri in uris for each in _named(uri, found)]
    return 0 if _remove(chosen, force, dry_run, as_json) else 1


def _root(folder: Path | None) -> str:
    return str(folder / kept.MODELS) if folder is not None else kept.folder()


def _named(uri: str, found: list[Entry]) -> list[Entry]:
    """Raises `UsageError` when nothing is kept of it."""
    chosen = [each for each in found if _manifest(each).uri == kept.normal(uri)]
    if not chosen:
        known = [_manifest(each).uri for each in found]
        guess = nearest(kept.normal(uri), known)
        raise UsageError(
            f"removing {uri}: nothing is kept of it",
            f"did you mean {guess}?" if guess else "`pilotlight cache list` shows what is",
        )
    return chosen


def _chosen(found: list[Entry], older: float | None, size: int | None) -> list[Entry]:
    """In the order in which they go, that used longest ago first."""
    total, now = sum(each.bytes for each in found), time.time()
    chosen = []
    for each in found:
        age = (now - each.last_used) / _DAY
        is_left = not each.whole() and age > 1
        if is_left or (older is not None and age > older) or (size is not None and total > size * MB):
            chosen.append(each)
            total -= each.bytes
    return chosen


def _remove(chosen: list[Entry], force: bool, dry_run: bool, as_json: bool) -> bool:
    """Whether all of them are gone, or would be."""
    freed, is_done = 0, True
    for each in chosen:
        fields, text = _fields(each), _line(each)
        why_not = "" if dry_run else each.remove(force=force)
        freed += 0 if why_not else int(str(fields["bytes"]))
        is_done &= not why_not
        what = "would go" if dry_run else "in use" if why_not == IN_USE else "stays" if why_not else "removed"
        if as_json:
            output.record(**fields, removed=not why_not and not dry_run, reason=why_not)
        else:
            output.line(f"{what:8}  {text}")
        if why_not not in ("", IN_USE):
            output.explain(f"removing {fields['uri']}: {why_not}", _remedy(why_not))
    if not as_json:
        output.line(f"{freed / MB:.1f} MB {'would be' if dry_run else 'are'} free again")
    return is_done


def _remedy(why_not: str) -> str:
    if why_not.startswith(UNKNOWN):
        return "make sure that none does, on any machine that has the folder mounted, and say --force"
    return "run this where it can be written"


def _manifest(entry: Entry) -> Manifest:
    return entry.manifest() or Manifest(os.path.basename(entry.folder), "", {})


def _fields(entry: Entry) -> dict[str, object]:
    manifest = _manifest(entry)
    return {
        "uri": manifest.uri,
        "task": manifest.task,
        "revision": manifest.revision,
        "bytes": entry.bytes,
        "used": round(entry.last_used),
        "whole": bool(entry.whole()),
        "folder": entry.files,
    }


def _line(entry: Entry) -> str:
    manifest = _manifest(entry)
    state = "" if entry.whole() else "  not whole"
    made = f"  optimised for {manifest.task}" if manifest.task else ""
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used))
    return f"{entry.bytes / MB:10.1f} MB  {used}  {manifest.uri}{made}{state}"
