"""Pilotlight: a Python function with a model becomes an HTTP inference API, here and on AWS Lambda.

The public names load when they are first touched (PEP 562): `import pilotlight` costs nothing.
"""

TYPE_CHECKING = False  # as type checkers know it; importing typing would cost what this module is there to save

if TYPE_CHECKING:
    from pilotlight.errors import InputError
    from pilotlight.events import Request, Response
    from pilotlight.function.endpoint import endpoint
    from pilotlight.function.inputs import Body, File, Image, ImageUrl
    from pilotlight.function.model import Model

__version__ = "0.1.0"

_HOMES = {
    "endpoint": "pilotlight.function.endpoint",
    "Body": "pilotlight.function.inputs",
    "File": "pilotlight.function.inputs",
    "Image": "pilotlight.function.inputs",
    "ImageUrl": "pilotlight.function.inputs",
    "Request": "pilotlight.events",
    "Response": "pilotlight.events",
    "InputError": "pilotlight.errors",
    "Model": "pilotlight.function.model",
}

__all__ = [
    "Body",
    "File",
    "Image",
    "ImageUrl",
    "InputError",
    "Model",
    "Request",
    "Response",
    "__version__",
    "endpoint",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(home, fromlist=[name])
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
