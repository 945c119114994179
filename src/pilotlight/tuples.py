"""`NamedTuple` without `typing`, whose import and whose classes were a quarter of a small function's cold start.

Classes are as typing's: fields with defaults, keywords, `_fields`, `_field_defaults`, `_replace`, `_asdict`, `_make`. A
module that has some begins with `from __future__ import annotations`, by which their annotations are texts in every
version of Python. docs/decisions/0043-a-cold-path-without-typing.md has what it saves.
"""

from __future__ import annotations

__all__ = ["NamedTuple"]

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from _collections import _tuplegetter  # as `collections.namedtuple` makes fields

    class _Fields(type):
        """Makes a class with annotations one of fields."""

        def __new__(meta, name, bases, namespace):
            if fields := tuple(namespace.get("__annotations__", ())):
                defaults = {field: namespace.pop(field) for field in fields if field in namespace}
                if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                    raise TypeError(f"{name}: a field without a default follows one with a default")
                namespace |= {field: _tuplegetter(index, f"Field {index}") for index, field in enumerate(fields)}
                namespace |= {"_fields": fields, "__match_args__": fields, "_field_defaults": defaults}
                namespace["_tail"] = tuple(defaults.values())
            return super().__new__(meta, name, bases, {"__slots__": (), **namespace})

    class NamedTuple(tuple, metaclass=_Fields):
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
            return cls(*values)

        def _replace(self, **named):
            values, fields = [*self], self._fields
            for name, value in named.items():
                if name not in fields:
                    raise ValueError(f"{type(self).__name__} has no field {name!r}")
                values[fields.index(name)] = value
            return tuple.__new__(type(self), values)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self):
            return tuple(self)
