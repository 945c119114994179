"""The bill of materials, held against CycloneDX's own schema."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pilotlight.bundle import sbom
from pilotlight.bundle.files import Entry, part
from pilotlight.bundle.libraries import Installed
from pilotlight.bundle.target import Target

DIGEST = "ab" * 32
LIBRARIES = (
    Installed("onnxruntime", "1.32.0", "MIT License", "https://onnxruntime.ai", 1, 2, ("onnxruntime",)),
    Installed("msgspec", "0.22.0", "not stated", "", 1, 2, ("msgspec",)),
)
PARTS = (part("model", [Entry("models/qa/model.onnx", b"weights")]), part("code", [Entry("a.py", b"")]))


def text() -> str:
    return sbom.text(sbom.document("qa", DIGEST, Target("3.13", "arm64"), LIBRARIES, PARTS))


def test_it_is_what_the_schema_asks_for() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text()) is None


def test_it_names_libraries_pilotlight_and_models() -> None:
    bill = json.loads(text())
    assert [(each["type"], each["name"]) for each in bill["components"]] == [
        ("library", "msgspec"),
        ("library", "onnxruntime"),
        ("library", "pilotlight"),
        ("data", "models/qa/model.onnx"),
    ]
    assert bill["components"][1] == {
        "type": "library",
        "bom-ref": "pkg:pypi/onnxruntime@1.32.0",
        "name": "onnxruntime",
        "version": "1.32.0",
        "purl": "pkg:pypi/onnxruntime@1.32.0",
        "licenses": [{"license": {"name": "MIT License"}}],
        "externalReferences": [{"type": "website", "url": "https://onnxruntime.ai"}],
    }
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]


def test_it_is_the_same_each_time() -> None:
    assert text() == text()
