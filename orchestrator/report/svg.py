"""Charts as inline SVG: pure functions from numbers to text. Colours come from the page's style sheet, by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Dot:
    """One row of a dot-with-interval chart. `mark` draws a filled diamond instead of a ring."""

    label: str
    value: float
    #: The interval's ends; None = unknown, and none is drawn.
    ends: tuple[float, float] | None
    mark: bool = False
    #: Behind the numbers, at the right edge.
    note: str = ""


@dataclass(frozen=True)
class Point:
    """One point of a scatter chart."""

    label: str
    x: float
    y: float
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    mark: bool = False
    #: Written beside it; empty = it tells its label when pointed at.
    name: str = ""


@dataclass(frozen=True)
class Strip:
    """One row of a strip chart: single values as ticks, mean and standard deviation as dot and bar."""

    label: str
    values: tuple[float, ...]
    kind: str = ""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about as many as asked for (1, 2, 2.5 and 5 times a power of ten)."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def span(
    values: Sequence[float], *, pad: float = 0.04, within: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Where an axis begins and ends so that all finite `values` are on it; `within` keeps it from leaving a natural
    range.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return within or (0.0, 1.0)
    low, high = min(known), max(known)
    room = (high - low) * pad or max(abs(high), 1.0) * 0.05
    low, high = low - room, high + room
    if within:
        low, high = max(low, within[0]), min(high, within[1])
        if high <= low:
            return within
    return low, high


def number(value: float, digits: int = 2) -> str:
    """A number with a true minus sign."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def dots(
    rows: Sequence[Dot], *, title: str, axis: str, width: int = 760, within: tuple[float, float] | None = (0.0, 1.0)
) -> str:
    """A dot with its interval for every row, top to bottom in the order given. Numbers are printed too."""
    label, right, step, top = 174, 216, 24, 8
    height = top + step * len(rows) + 44
    low, high = span([value for row in rows for value in (row.value, *(row.ends or ()))], within=within)
    scale = _Scale(low, high, label, width - right)
    parts = [_axis_x(scale, ticks(low, high), top, top + step * len(rows), axis)]
    for index, row in enumerate(rows):
        y = top + step * index + step / 2
        css = "may" if row.mark else "rest"
        tip = f"{row.label}: {number(row.value, 3)} ({_between(row.ends, 3)})"
        beside = f"({_between(row.ends)}) {row.note}" if row.ends else row.note
        parts += [
            f'<g class="{css}"><title>{escape(tip)}</title>',
            f'<text class="label" x="{label - 10}" y="{_n(y + 4)}" text-anchor="end">{escape(row.label)}</text>',
            _line("interval", scale(row.ends[0]), y, scale(row.ends[1]), y) if row.ends else "",
            _mark(scale(row.value), y, row.mark),
            f'<text class="value" x="{width - right + 12}" y="{_n(y + 4)}">{number(row.value)}'
            f' <tspan class="soft">{escape(beside)}</tspan></text></g>',
        ]
    return _svg(width, height, title, parts)


def _between(ends: tuple[float, float] | None, digits: int = 2) -> str:
    return "chance unknown" if ends is None else f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_axis: str,
    y_axis: str,
    front: Sequence[tuple[float, float]] = (),
    width: int = 760,
    height: int = 460,
) -> str:
    """Points with their intervals as thin crosses; `front` is drawn as a line through the points given."""
    left, bottom, top, right = 56, 46, 12, 24
    xs = [value for point in points for value in (point.x, *(point.x_range or ()))]
    ys = [value for point in points for value in (point.y, *(point.y_range or ()))]
    x = _Scale(*span(xs, pad=0.08, within=(0.0, 1.0)), left, width - right)
    y = _Scale(*span(ys, pad=0.08, within=(0.0, 1.0)), height - bottom, top)
    parts = [
        _axis_x(x, ticks(x.low, x.high), top, height - bottom, x_axis),
        _axis_y(y, ticks(y.low, y.high), left, width - right, y_axis),
    ]
    if len(front) > 1:
        line = " ".join(f"{_n(x(a))},{_n(y(b))}" for a, b in front)
        parts.append(f'<polyline class="front" points="{line}"/>')
    for point in sorted(points, key=lambda p: p.mark):
        px, py = x(point.x), y(point.y)
        tip = escape(f"{point.label}: {number(point.x)}, {number(point.y)}")
        parts.append(f'<g class="{"may" if point.mark else "rest"}"><title>{tip}</title>')
        if point.x_range:
            parts.append(_line("cross", x(point.x_range[0]), py, x(point.x_range[1]), py))
        if point.y_range:
            parts.append(_line("cross", px, y(point.y_range[0]), px, y(point.y_range[1])))
        parts += [_mark(px, py, point.mark), "</g>"]
    # names keep clear of all marks and of each other
    taken = [(x(p.x) - 6, y(p.y) - 6, x(p.x) + 6, y(p.y) + 6) for p in points]
    taken += [(x(p.x_range[0]), y(p.y) - 1, x(p.x_range[1]), y(p.y) + 1) for p in points if p.x_range]
    parts += [_name(p.name, x(p.x), y(p.y), width - right, taken) for p in points if p.name]
    return _svg(width, height, title, parts)


def line(
    points: Sequence[tuple[float, float]],
    smooth: Sequence[tuple[float, float]],
    *,
    title: str,
    x_axis: str,
    y_axis: str,
    width: int = 760,
) -> str:
    """A thin line of all points and a thick one of the smoothed ones. Points that are not finite break nothing: they
    are left out.
    """
    height, left, bottom, top, right = 240, 64, 44, 10, 16
    known = [(a, b) for a, b in points if math.isfinite(b)]
    x = _Scale(*_wide([a for a, _ in known]), left, width - right)
    y = _Scale(*span([b for _, b in known]), height - bottom, top)
    parts = [
        _axis_x(x, ticks(x.low, x.high), top, height - bottom, x_axis, digits=0),
        _axis_y(y, ticks(y.low, y.high, 4), left, width - right, y_axis, digits=3),
    ]
    for css, series in (("raw", known), ("smooth", [p for p in smooth if math.isfinite(p[1])])):
        path = " ".join(f"{_n(x(a))},{_n(y(b))}" for a, b in series)
        parts.append(f'<polyline class="{css}" points="{path}"/>')
    return _svg(width, height, title, parts)


def strips(rows: Sequence[Strip], *, title: str, axis: str, width: int = 760) -> str:
    """Single values as ticks, their mean ± standard deviation as dot and bar, against an upright line at zero."""
    label, right, step, top = 220, 150, 30, 8
    height = top + step * len(rows) + 44
    values = [value for row in rows for value in row.values]
    edge = max([10.0, *(abs(value) * 1.05 for value in values if math.isfinite(value))])
    scale = _Scale(-edge, edge, label, width - right)
    parts = [_axis_x(scale, ticks(-edge, edge, 9), top, top + step * len(rows), axis, digits=0)]
    parts.append(_line("zero", scale(0), top, scale(0), top + step * len(rows)))
    for index, row in enumerate(rows):
        y = top + step * index + step / 2
        mean, sd = mean_sd(row.values)
        words = "no face found" if not row.values else f"{number(mean, 1)}° ± {number(sd, 1)}°  ({len(row.values)})"
        parts.append(f'<g class="{escape(row.kind)}"><title>{escape(f"{row.label}: {words}")}</title>')
        parts.append(
            f'<text class="label" x="{label - 10}" y="{_n(y + 4)}" text-anchor="end">{escape(row.label)}</text>'
        )
        parts += [_line("tick", scale(v), y - 8, scale(v), y + 8) for v in row.values]
        if row.values:
            parts.append(_line("interval", scale(mean - sd), y, scale(mean + sd), y))
            parts.append(f'<circle class="mean" cx="{_n(scale(mean))}" cy="{_n(y)}" r="5"/>')
        parts.append(f'<text class="value" x="{width - right + 12}" y="{_n(y + 4)}">{escape(words)}</text></g>')
    return _svg(width, height, title, parts)


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; 0, 0 for no values, sd 0 for one."""
    if not values:
        return 0.0, 0.0
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        clear = min(max(value, self.low), self.high)
        return self.start + (clear - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def _wide(values: Sequence[float]) -> tuple[float, float]:
    return (
        (min(values), max(values))
        if values and max(values) > min(values)
        else (0.0, (max(values) if values else 0.0) + 1.0)
    )


def _line(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{css}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _mark(x: float, y: float, filled: bool) -> str:
    # a shape, not only a colour, tells the two apart
    if filled:
        return f'<path class="dot" d="M{_n(x)} {_n(y - 6.5)}l6.5 6.5-6.5 6.5-6.5-6.5z"/>'
    return f'<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="4"/>'


def _name(text: str, x: float, y: float, edge: float, taken: list[tuple[float, float, float, float]]) -> str:
    """The name near a point, where it covers no mark and no other name; a thin line leads to it when it stands off."""
    wide = 6.6 * len(text)
    for distance in range(10, 90, 8):
        for dx, dy in ((0.5, -1), (0.5, 1), (1, 0), (-1, 0), (-0.5, -1), (-0.5, 1)):
            left = x + dx * distance if dx > 0 else x + dx * distance - wide
            middle = y + dy * distance
            box = (left - 2, middle - 8, left + wide + 2, middle + 8)
            free = not any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in taken)
            if free and left > 60 and box[2] <= edge and box[1] > 0:
                taken.append(box)
                leader = _line("leader", x, y, left if dx > 0 else left + wide, middle) if distance > 20 else ""
                return f'{leader}<text class="name" x="{_n(left)}" y="{_n(middle + 4)}">{escape(text)}</text>'
    return ""


def _axis_x(scale: _Scale, at: Sequence[float], top: float, bottom: float, name: str, digits: int | None = None) -> str:
    places = _places(at) if digits is None else digits
    parts = [_line("grid", scale(v), top, scale(v), bottom) for v in at]
    parts += [
        f'<text class="scale" x="{_n(scale(v))}" y="{_n(bottom + 16)}" text-anchor="middle">{number(v, places)}</text>'
        for v in at
    ]
    middle = (scale.start + scale.end) / 2
    return (
        "".join(parts)
        + f'<text class="axis" x="{_n(middle)}" y="{_n(bottom + 36)}" text-anchor="middle">{escape(name)}</text>'
    )


def _axis_y(scale: _Scale, at: Sequence[float], left: float, right: float, name: str, digits: int | None = None) -> str:
    places = _places(at) if digits is None else digits
    parts = [_line("grid", left, scale(v), right, scale(v)) for v in at]
    parts += [
        f'<text class="scale" x="{_n(left - 8)}" y="{_n(scale(v) + 4)}" text-anchor="end">{number(v, places)}</text>'
        for v in at
    ]
    y = (scale.start + scale.end) / 2
    return (
        "".join(parts)
        + f'<text class="axis" transform="translate(14 {_n(y)}) rotate(-90)" text-anchor="middle">{escape(name)}</text>'
    )


def _places(at: Sequence[float]) -> int:
    return next((digits for digits in range(4) if all(abs(round(v, digits) - v) < 1e-9 for v in at)), 3)


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        + "".join(parts)
        + "</svg>"
    )


def _n(value: float) -> str:
    return f"{value:.1f}"
