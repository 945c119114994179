"""Every check that needs no account, in the order in which it is shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pilotlight.deploy.doctor import code_checks, package_checks, settings_checks
from pilotlight.deploy.doctor.code_checks import Subject
from pilotlight.deploy.doctor.finding import Finding
from pilotlight.deploy.doctor.package_checks import Package


class Known(NamedTuple):
    """What is known of one function: `package` as text is why there is none, `architecture` what the settings say."""

    subject: Subject
    events: Sequence[Path]
    variables: Mapping[str, str]
    package: Package | str
    architecture: str


def checks(known: Known) -> list[Finding]:
    subject = known.subject
    return [
        settings_checks.memory_quota(subject),
        settings_checks.timeout(subject),
        settings_checks.payload(subject, known.events),
        settings_checks.variables(subject, known.variables),
        settings_checks.snapstart(subject),
        settings_checks.efs(subject),
        settings_checks.internet(subject),
        code_checks.read_only(subject),
        code_checks.shared_memory(subject),
        code_checks.cors(subject),
        *package_checks.checks(subject.function.name, known.package, known.architecture),
    ]
