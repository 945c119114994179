"""Which route a request takes, with API Gateway's order of preference.

A path's own text goes before `{name}`, that before `{name+}`; the method goes before ANY. Source: docs.aws.amazon.com/
apigateway/latest/developerguide/http-api-develop-routes.html.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote

T = TypeVar("T")


class Match(NamedTuple, Generic[T]):
    """The target of a route and the decoded values of its path parameters."""

    target: T
    parameters: dict[str, str]


class _Node(Generic[T]):
    __slots__ = ("children", "greedy", "parameter", "targets")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.greedy: _Node[T] | None = None
        self.targets: dict[str, tuple[tuple[str, ...], T]] = {}  # method -> names of the path's parameters, target


class Router(Generic[T]):
    """Routes as `(method, path, target)`; the path has `{name}` segments and may end in `{name+}`."""

    def __init__(self, routes: Iterable[tuple[str, str, T]] = ()) -> None:
        self._root: _Node[T] = _Node()
        self._plain: dict[tuple[str, str], T] = {}  # routes without parameters, before which none other goes
        for method, path, target in routes:
            self._add(method, path, target)

    def _add(self, method: str, path: str, target: T) -> None:
        if "{" not in path:
            self._plain.setdefault((method, path), target)
        node = self._root
        names = []
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment.strip("{+}"))
            node = _child(node, segment)
        node.targets.setdefault(method, (tuple(names), target))

    def match(self, method: str, path: str) -> Match[T] | None:
        """`path` is percent-encoded, as the client sent it."""
        plain = self._plain.get((method, path))
        if plain is not None:
            return Match(plain, {})
        for node, values in _walk(self._root, path.split("/")[1:]):
            found = node.targets.get(method) or node.targets.get("ANY")
            if found:
                names, target = found
                return Match(target, dict(zip(names, map(unquote, values), strict=True)))
        return None

    def targets_at(self, path: str) -> list[T]:
        """The targets of all methods that this path has, the preferred first: for a preflight."""
        nodes = _walk(self._root, path.split("/")[1:])
        return [target for node, _ in nodes for _, target in node.targets.values()]


def _child(node: _Node[T], segment: str) -> _Node[T]:
    if segment.endswith("+}"):
        node.greedy = node.greedy or _Node()
        return node.greedy
    if segment.startswith("{"):
        node.parameter = node.parameter or _Node()
        return node.parameter
    return node.children.setdefault(segment, _Node())


def _walk(node: _Node[T], segments: Sequence[str]) -> Iterator[tuple[_Node[T], list[str]]]:
    """Every node that the segments reach, the most specific first, with the values of the parameters on the way."""
    if not segments:
        yield node, []
        return
    first, rest = segments[0], segments[1:]
    child = node.children.get(first)
    if child:
        yield from _walk(child, rest)
    if node.parameter and first:
        for end, values in _walk(node.parameter, rest):
            yield end, [first, *values]
    if node.greedy and (first or rest):
        yield node.greedy, ["/".join(segments)]
