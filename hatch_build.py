"""The wheel carries the examples' code as templates for `pilotlight new`, and no model's weights."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LEFT_OUT = {
    "__pycache__",
    ".venv",
    ".pilotlight",
    "models",
    "data",
    "run",
}  # what is trained, and what training leaves behind


class TemplatesHook(BuildHookInterface[Any]):
    """Maps `examples/NAME/...` to `pilotlight/templates/NAME/...`; an editable install reads `examples` itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        examples = Path(self.root) / "examples"
        for path in sorted(examples.rglob("*")):
            inside = path.relative_to(examples)
            if path.is_file() and path.suffix != ".pt" and not LEFT_OUT & set(inside.parts):
                build_data["force_include"][str(path)] = f"pilotlight/templates/{inside.as_posix()}"
