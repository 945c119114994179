"""Sorted keys -> a double array as darts-clone reads it (github.com/s-yata/darts-clone): a trie as one row of numbers.

A unit holds the label by which it is reached in its lowest 8 bits, whether a key ends behind it in bit 8, and from bit
10 on the distance to its children: the child by a byte is at (unit's place ^ distance) ^ byte. A key's value is in the
child by zero, marked by bit 31. Distances below 2^21 are written here, without the extension that bit 9 stands for.
"""

from array import array
from collections.abc import Sequence

BLOCK = 256
MOST = 1 << 21
VALUE, LEAF = 1 << 31, 1 << 8
FREE = VALUE
"""What is in a place that no key needs: no byte leads there."""


def build(keys: Sequence[tuple[bytes, int]]) -> "array[int]":
    """The units for keys, sorted, none empty, none twice, none with a zero in it, with their values."""
    places = _Places()
    units = array("I", [0, *[FREE] * (BLOCK - 1)])
    waiting = [(0, 0, len(keys), 0)] if keys else []
    while waiting:
        place, first, last, depth = waiting.pop()
        groups = _groups(keys, first, last, depth)
        base = places.find([label for label, *_ in groups])
        distance = place ^ base
        if distance >= MOST:
            raise ValueError("there are too many keys for one double array")
        units.extend([FREE] * (places.size - len(units)))
        units[place] |= distance << 10
        for label, begin, end in groups:
            child = base ^ label
            if not label:
                units[place] |= LEAF
                units[child] = VALUE | keys[begin][1]
                continue
            units[child] = label
            waiting.append((child, begin, end, depth + 1))
    return units


def _groups(keys: Sequence[tuple[bytes, int]], first: int, last: int, depth: int) -> list[tuple[int, int, int]]:
    """The keys from first to last by their byte at that depth, 0 for one that ends there: label, begin, end."""
    found = list[tuple[int, int, int]]()
    begin = first
    while begin < last:
        label, end = _label(keys[begin][0], depth), begin + 1
        while end < last and _label(keys[end][0], depth) == label:
            end += 1
        found.append((label, begin, end))
        begin = end
    return found


def _label(key: bytes, depth: int) -> int:
    return key[depth] if depth < len(key) else 0


class _Places:
    """Which places are taken; place 0 is the root's, and a base of one node is no other's."""

    def __init__(self) -> None:
        self.size = BLOCK
        self._taken = bytearray(BLOCK)
        self._taken[0] = 1
        self._bases = set[int]()
        self._first = 1

    def find(self, labels: Sequence[int]) -> int:
        """Take a base where all children fit."""
        lead = labels[0]
        at = self._first
        while True:
            place = self._taken.find(0, at)
            if place < 0:
                at = self.size
                self._grow()
                continue
            base = place ^ lead
            if base and base not in self._bases and all(not self._is_taken(base ^ label) for label in labels):
                break
            at = place + 1
        self._take(base, labels)
        return base

    def _take(self, base: int, labels: Sequence[int]) -> None:
        self._bases.add(base)
        for label in labels:
            self._taken[base ^ label] = 1
        start = self._taken.find(0, self._first)
        self._first = max(self._first if start < 0 else start, self.size - 16 * BLOCK)

    def _is_taken(self, place: int) -> bool:
        while place >= self.size:
            self._grow()
        return bool(self._taken[place])

    def _grow(self) -> None:
        self._taken.extend(bytes(BLOCK))
        self.size += BLOCK
