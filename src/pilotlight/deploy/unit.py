"""What a template is made of: functions with their packages, and the stage that they are deployed to."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from pilotlight.artifacts import Artifact
from pilotlight.project import Function, Project


class Unit(NamedTuple):
    """One function as it is deployed.

    Of `artifact` the template needs its kind, its digest and Lambda's own words, so the package may be anywhere.
    `models` says where each URI of the settings is mirrored, "s3://bucket/prefix"; what is not in it stays as it is.
    """

    function: Function
    artifact: Artifact
    models: Mapping[str, str] = {}

    @property
    def id(self) -> str:
        """What the logical ids of its resources begin with: "KimCnn" of kim_cnn."""
        return camel(self.function.name)


class Deployment(NamedTuple):
    """A service and its stage, "" for none. `version` is Pilotlight's."""

    project: Project
    units: tuple[Unit, ...]
    stage: str = ""
    version: str = ""


def camel(name: str) -> str:
    """Logical ids are letters and digits: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/
    resources-section-structure.html."""
    return "".join(word[:1].upper() + word[1:] for word in re.split("[^A-Za-z0-9]+", name))
