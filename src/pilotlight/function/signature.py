"""The parameters of a function, read from its code object: `inspect` costs a cold start more than all of this."""

from __future__ import annotations

import sys
from types import FunctionType

from pilotlight.errors import FunctionError
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


GENERATOR = 0x20  # co_flags, as docs.python.org/3/library/inspect.html#inspect-module-co-flags lists them
ASYNC_GENERATOR = 0x200
_VARARGS_OR_KEYWORDS = 0x04 | 0x08


class Parameter(NamedTuple):
    """One parameter. `default` means something only when not `required`; `keyword` is a parameter after `*`."""

    name: str
    annotation: object
    required: bool = True
    default: object = None
    keyword: bool = False


def unwrapped(function: Callable[..., object]) -> FunctionType:
    """The function that decorators made with `functools.wraps` stand for. Raises `FunctionError` when there is none."""
    inner: object = function
    while (wrapped := getattr(inner, "__wrapped__", None)) is not None:
        inner = wrapped
    if not isinstance(inner, FunctionType):
        raise FunctionError(
            f"@endpoint takes a function, got {type(function).__name__}",
            "Write `@endpoint` above a `def` or `async def`.",
        )
    return inner


def parameters(function: FunctionType) -> tuple[Parameter, ...]:
    """The parameters in order, annotations resolved. Raises `FunctionError`."""
    code = function.__code__
    if code.co_flags & _VARARGS_OR_KEYWORDS:
        raise FunctionError(
            f"reading the parameters of {name_of(function)}: *args and **kwargs have no names to bind a request to",
            "Name each parameter, or write a plain `def handler(event, context)` without @endpoint.",
        )
    hints = annotated(function)
    positional = code.co_varnames[: code.co_argcount]
    keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    values = function.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(values) :], values, strict=True))
    defaults.update(function.__kwdefaults__ or {})
    return tuple(
        Parameter(name, hints.get(name, object), name not in defaults, defaults.get(name), name in keyword)
        for name in (*positional, *keyword)
    )


def annotated(function: FunctionType, *, result: bool = False) -> dict[str, object]:
    """The annotations with strings evaluated; the one of the result only when asked for. Raises `FunctionError`."""
    try:
        hints = function.__annotations__
        return {
            name: evaluated(hint, function.__globals__) for name, hint in hints.items() if result or name != "return"
        }
    except Exception as error:  # an annotation is an expression of the user's: anything can come out of it
        raise _unreadable(name_of(function), error) from error


def fields(record: type) -> dict[str, object]:
    """The annotations of a NamedTuple class's fields, its bases' too, strings evaluated in the module of each.

    Raises `FunctionError`.
    """
    try:
        hints = {
            name: evaluated(hint, vars(sys.modules[base.__module__]))
            for base in reversed(record.__mro__)
            for name, hint in getattr(
                base, "__annotations__", {}
            ).items()  # Python 3.14 makes them when they are asked for
        }
    except Exception as error:  # as above
        raise _unreadable(record.__qualname__, error) from error
    return {name: hints.get(name, object) for name in record._fields}  # type: ignore[attr-defined]


def _unreadable(name: str, error: Exception) -> FunctionError:
    return FunctionError(
        f"reading the annotations of {name}: {error}",
        "Import or define the type above it, outside `if TYPE_CHECKING`.",
    )


def evaluated(hint: object, namespace: Mapping[str, object]) -> object:
    """An annotation, evaluated when it is a string or a forward reference (PEP 563)."""
    source = getattr(hint, "__forward_arg__", hint)
    return eval(source, dict(namespace)) if isinstance(source, str) else hint


def name_of(function: FunctionType) -> str:
    """How error messages call the function: `inference.qa.handler`."""
    return f"{function.__module__}.{function.__qualname__}"
