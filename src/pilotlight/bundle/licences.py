"""Under which licence a library comes, as its own metadata says it.

docs: packaging.python.org/en/latest/specifications/core-metadata/. A licence's text is in the package beside it.
"""

import re
from importlib.metadata import Distribution

UNKNOWN = "not stated"
_LONGEST = 80  # characters; what is longer is the text itself
_HOMES = ("homepage", "home", "repository", "source", "source code", "github")


def of(distribution: Distribution) -> str:
    """An SPDX expression where the metadata has one, else the name that it gives, else `UNKNOWN`."""
    if expression := _one(distribution, "License-Expression"):
        return expression
    stated = _one(distribution, "License").strip()
    if stated and "\n" not in stated and len(stated) <= _LONGEST and stated.upper() != "UNKNOWN":
        return stated
    classified = [
        each.rpartition(" :: ")[2]
        for each in distribution.metadata.get_all("Classifier") or ()
        if each.startswith("License")
    ]
    return " AND ".join(each for each in classified if each != "OSI Approved") or UNKNOWN


def home(distribution: Distribution) -> str:
    """The page of the project, "" for none."""
    urls = dict(
        re.split(r",\s*", each, maxsplit=1)
        for each in distribution.metadata.get_all("Project-URL") or ()
        if "," in each
    )
    named = {name.lower(): url for name, url in urls.items()}
    return _one(distribution, "Home-page") or next((named[name] for name in _HOMES if name in named), "")


def _one(distribution: Distribution, field: str) -> str:
    return next(iter(distribution.metadata.get_all(field) or ()), "")
