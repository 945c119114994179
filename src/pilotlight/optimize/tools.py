"""The libraries that optimising needs and serving does not: loaded when first used, asked for when absent."""

from importlib import import_module
from typing import Any

from pilotlight.errors import OptimizeError


def needed(module: str) -> Any:
    """A module of the extra `optimize`. Raises `OptimizeError` with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        missing = (error.name or module).partition(".")[0]
        hint = 'pip install "pilotlight[optimize]"'
        raise OptimizeError(f"optimising needs the library {missing}, which is not installed", hint) from None
