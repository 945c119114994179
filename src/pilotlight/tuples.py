"""`NamedTuple` without `typing`, whose import and whose classes were a quarter of a small function's cold start.

Classes are as typing's: fields with defaults, keywords, `_fields`, `_field_defaults`, `_replace`, `_asdict`, `_make`, a
signature; those derived from them are ordinary classes. A module that has some begins with `from __future__ import
annotations`, by which their annotations are texts in every version of Python.
docs/decisions/0043-a-cold-path-without-typing.md has what it saves.
"""

from __future__ import annotations

__all__ = ["NamedTuple"]

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    try:
        from _collections import _tuplegetter as _getter  # as `collections.namedtuple` makes fields
    except ImportError:  # and what it does in a Python without
        from operator import itemgetter

        def _getter(index, doc):
            return property(itemgetter(index), doc=doc)

    class _Signature:
        """Of classes, made when `inspect` asks for it: `help` and editors show the fields."""

        def __get__(self, _, owner):
            if owner.__new__ is not _Fields.__new__ or owner.__init__ is not object.__init__:
                raise AttributeError("__signature__")  # a derived class has one of its own
            from inspect import Parameter, Signature

            def parameter(name):
                default, annotation = owner._field_defaults.get(name, Parameter.empty), hints.get(name)
                return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)

            hints = {
                name: hint for each in owner.__mro__ for name, hint in vars(each).get("__annotations__", {}).items()
            }
            return Signature([parameter(name) for name in owner._fields])

    class _Fields(tuple):
        """What the classes have in common."""

        __slots__ = ()
        __signature__ = _Signature()
        _fields = _tail = ()

        def __new__(cls, *values, **named):
            missing = len(cls._fields) - len(values)
            if named or missing:
                if named or not 0 < missing <= len(cls._tail):
                    values = cls._completed(values, named)
                else:
                    values += cls._tail[-missing:]
            return tuple.__new__(cls, values)

        @classmethod
        def _completed(cls, values, named):
            """All values, in the order of the fields. Raises `TypeError` where they are not those."""
            rest = cls._fields[len(values) :]
            given = cls._field_defaults | named
            missing = [field for field in rest if field not in given]
            if missing or len(values) > len(cls._fields) or not named.keys() <= set(rest):
                reason = f"lacks {missing[0]!r}" if missing else f"takes {', '.join(cls._fields)}, each once"
                raise TypeError(f"{cls.__name__}() {reason}")
            return (*values, *[given[field] for field in rest])

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
            return made

        def _replace(self, /, **named):
            values, fields = [*self], self._fields
            for name, value in named.items():
                if name not in fields:
                    raise ValueError(f"{type(self).__name__} has no field {name!r}")
                values[fields.index(name)] = value
            return tuple.__new__(type(self), values)

        __replace__ = _replace  # `copy.replace` of Python 3.13

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self):
            return tuple(self)

    class _Maker(type):
        """Makes of the body of a class one with its fields, whose own metaclass is `type`, as typing's is."""

        def __new__(meta, name, bases, namespace):
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                raise TypeError(f"{name}: a field without a default follows one with a default")
            namespace |= {
                field: _getter(index, f"Alias for field number {index}") for index, field in enumerate(fields)
            }
            namespace |= {"_fields": fields, "__match_args__": fields, "_field_defaults": defaults, "__slots__": ()}
            namespace["_tail"] = tuple(defaults.values())
            return type(name, (_Fields,), namespace)

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})
