"""Lines over time as a small SVG."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 900, 310
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 60, 30, 80
_LOW = _HEIGHT - _BOTTOM
_COLORS = ("#1f6feb", "#d4711c", "#2da44e")
_SHADES = ("#f0f3f6", "#fafbfc")

Mark = tuple[float, float, str]  # a span of time and its name


class Line(NamedTuple):
    name: str
    points: Sequence[tuple[float, float]]


class _Scale(NamedTuple):
    """Data -> places in the picture."""

    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.most_x * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_LOW - value / self.most_y * (_LOW - _TOP), 1)


def plot(title: str, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """Marks are shaded in turn, and named below."""
    most_x = max([1.0, *(x for line in lines for x, _ in line.points), *(end for _, end, _ in marks)])
    most_y = max([1.0, *(y for line in lines for _, y in line.points)])
    scale = _Scale(most_x, 4 * _step(most_y, 4))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="11"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="13">{escape(title)}</text>',
    )
    return "\n".join([*head, *_spans(scale, marks), *_axes(scale), *_lines(scale, lines), "</svg>"]) + "\n"


def _spans(scale: _Scale, marks: Sequence[Mark]) -> Iterator[str]:
    for number, (began, end, name) in enumerate(marks):
        left, width = scale.x(began), scale.x(end) - scale.x(began)
        yield f'<rect x="{left}" y="{_TOP}" width="{width:.1f}" height="{_LOW - _TOP}" fill="{_SHADES[number % 2]}"/>'
        place = f"translate({left + width / 2:.1f} {_LOW + 28 + number % 2 * 16}) rotate(15)"
        yield f'<text transform="{place}" font-size="9">{escape(name)}</text>'


def _axes(scale: _Scale) -> Iterator[str]:
    for number in range(5):
        value = scale.most_y * number / 4
        yield f'<text x="{_LEFT - 6}" y="{scale.y(value) + 4}" text-anchor="end">{value:,.0f}</text>'
        yield f'<path d="M{_LEFT} {scale.y(value)}H{_WIDTH - _RIGHT}" stroke="#d0d7de" stroke-width="0.5"/>'
    step = _step(scale.most_x, 8)
    for number in range(int(scale.most_x / step) + 1):
        text = f"{number * step:.0f} s"
        yield f'<text x="{scale.x(number * step)}" y="{_LOW + 14}" text-anchor="middle">{text}</text>'


def _lines(scale: _Scale, lines: Sequence[Line]) -> Iterator[str]:
    for number, (line, color) in enumerate(zip(lines, _COLORS, strict=False)):
        points = " ".join(f"{scale.x(at)},{scale.y(value)}" for at, value in line.points)
        yield f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        place = _WIDTH - _RIGHT - 160 * (len(lines) - number)
        yield f'<text x="{place}" y="18" fill="{color}">{escape(line.name)}</text>'


def _step(most: float, count: int) -> float:
    """The smallest of 1, 2, 5, 10, 20 ... that reaches `most` in `count` steps."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale * count >= most:
                return step * scale
        scale *= 10
