"""Versions of functions that nothing calls any more. With SnapStart each costs money for as long as it is there.

The template has one version of a function, so CloudFormation deletes the one before it. What is left are those of
updates that were broken off, whose deletion failed, or that somebody has published by hand.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pilotlight.deploy.session import Session, absent, asking


class Stale(NamedTuple):
    """A version that no alias leads to."""

    function: str
    version: str


def stale(session: Session, functions: Iterable[str]) -> list[Stale]:
    """Of these functions, by their names on Lambda."""
    return [Stale(name, version) for name in functions for version in _unused(session, name)]


def _unused(session: Session, name: str) -> list[str]:
    client = session.client("lambda")
    with asking(f"listing the versions of {name}"), absent("ResourceNotFoundException"):
        pages = client.get_paginator("list_aliases").paginate(FunctionName=name)
        aliases = [alias for page in pages for alias in page["Aliases"]]
        used = {alias["FunctionVersion"] for alias in aliases} | {"$LATEST"}
        used |= {
            version
            for alias in aliases
            for version in alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        }
        found = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        versions = [each["Version"] for page in found for each in page["Versions"]]
        return [version for version in versions if version not in used]
    return []


def remove(session: Session, found: Iterable[Stale]) -> None:
    for each in found:
        with asking(f"deleting version {each.version} of {each.function}"), absent("ResourceNotFoundException"):
            session.client("lambda").delete_function(FunctionName=each.function, Qualifier=each.version)
