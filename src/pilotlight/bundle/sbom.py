"""A bill of materials of a package, CycloneDX 1.6 as JSON: cyclonedx.org/docs/1.6/json.

It has no time and no random number, so that two builds of the same give the same.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence

import pilotlight
from pilotlight.bundle.files import Part
from pilotlight.bundle.libraries import Installed
from pilotlight.bundle.target import Target

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/docs/1.6/json")


def document(
    name: str, digest: str, target: Target, installed: Iterable[Installed], parts: Sequence[Part]
) -> dict[str, object]:
    """The bill of the package `name`, whose content has the SHA-256 `digest`: its libraries, Pilotlight, and files that
    are models."""
    own = Installed("pilotlight", pilotlight.__version__, "Apache-2.0", "", 0, 0, ())
    libraries = sorted([*installed, own], key=lambda each: each.name)
    components = [*map(_library, libraries), *(_model(parts, path) for path in _models(parts))]
    root = f"function:{name}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, digest)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "pilotlight", "version": pilotlight.__version__}]},
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "properties": [{"name": "pilotlight:target", "value": str(target)}],
            },
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def text(bill: Mapping[str, object]) -> str:
    return json.dumps(bill, indent=2, ensure_ascii=False) + "\n"


def _library(each: Installed) -> dict[str, object]:
    url = f"pkg:pypi/{each.name.replace('_', '-')}@{each.version}"
    return {
        "type": "library",
        "bom-ref": url,
        "name": each.name,
        "version": each.version,
        "purl": url,
        "licenses": [{"license": {"name": each.licence}}],
        **({"externalReferences": [{"type": "website", "url": each.home}]} if each.home else {}),
    }


def _models(parts: Sequence[Part]) -> list[str]:
    return [entry.path for part in parts if part.name == "model" for entry in part.entries]


def _model(parts: Sequence[Part], path: str) -> dict[str, object]:
    entry = next(entry for part in parts for entry in part.entries if entry.path == path)
    digest = hashlib.sha256()
    for chunk in entry.chunks():
        digest.update(chunk)
    return {
        "type": "data",
        "bom-ref": f"file:{path}",
        "name": path,
        "hashes": [{"alg": "SHA-256", "content": digest.hexdigest()}],
    }
