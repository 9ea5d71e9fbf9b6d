"""Where everything stands on a sheet, in pixels: boxes of cells, labels with their lines, rules.

`drawing.py` draws what this says, and tests read it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from orchestrator.grid.fonts import font, text_width, wrap
from orchestrator.grid.page import Page, Place

PAPER: Final = "#ffffff"
INK: Final = "#1c2430"
SOFT: Final = "#5b6675"
RULE: Final = "#c9d0d9"
#: The frame of a winner, as in the viewer.
WINNER: Final = "#1d6b3c"
FAILED: Final = ("#fbe9e7", "#8c1d18")
PENDING: Final = ("#eef1f4", "#5b6675")
HATCH: Final = "#cfd6de"

#: What overviews are shrunk to, so that every viewer opens them at once.
MAX_PIXELS: Final = 24_000_000
MAX_SIDE: Final = 16_000

LabelKind = Literal["title", "subtitle", "column", "row", "block", "caption", "axis", "note", "legend"]
SwatchKind = Literal["failed", "left out", "pending", "highlighted"]
#: Legends name these in this order.
_LEGEND: Final[dict[SwatchKind, str]] = {
    "highlighted": "winner",
    "failed": "failed",
    "left out": "left out",
    "pending": "not made yet",
}
#: Smaller letters for long labels, as shares of the usual size.
_SHRINK: Final = (1.0, 0.85, 0.72, 0.6, 0.5)
_HEAD_LINES: Final = 7
#: Letters of heads that stand on one line if they can.
_SHORT: Final = 16


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    @property
    def right(self) -> int:
        """The first column beside it."""
        return self.x + self.width


@dataclass(frozen=True)
class CellBox:
    """A place and where its picture goes."""

    place: Place
    box: Box


@dataclass(frozen=True)
class Label:
    """Words and where they stand; `lines` as they are broken, the last with … where some had to go."""

    kind: LabelKind
    lines: tuple[str, ...]
    box: Box
    #: Of its letters, in pixels.
    size: int
    bold: bool = False
    colour: str = INK
    centred: bool = False

    @property
    def text(self) -> str:
        """Its words on one line."""
        return " ".join(self.lines)


@dataclass(frozen=True)
class Rule:
    """A filled rectangle: a line between blocks, or the line over a baseline."""

    box: Box
    colour: str = RULE


@dataclass(frozen=True)
class Swatch:
    """How a kind of cell looks, beside its name in the legend."""

    kind: SwatchKind
    box: Box


@dataclass(frozen=True)
class Plan:
    """One sheet, planned. `bands` are (top, bottom) of the strips it is drawn in; none cuts a cell."""

    page: Page
    width: int
    height: int
    cells: tuple[CellBox, ...]
    labels: tuple[Label, ...]
    rules: tuple[Rule, ...]
    swatches: tuple[Swatch, ...]
    bands: tuple[tuple[int, int], ...]
    #: Of labels, in pixels, and the room between cells.
    text: int
    gap: int

    def of(self, kind: LabelKind) -> list[Label]:
        """The labels of that kind, in reading order."""
        return [label for label in self.labels if label.kind == kind]


def fit(page: Page, picture: tuple[int, int], *, most: int, least: int = 24) -> Plan:
    """The sheet of `page` with cells at most `most` pixels long, shrunk until it is within MAX_PIXELS and MAX_SIDE.

    Cells keep the shape of a `picture` (width, height) and are never larger than it. The result is larger than the
    limits when cells of `least` pixels still are.
    """
    scale = min(1.0, most / max(picture))
    while True:
        plan = lay_out(page, (max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))))
        over = max(plan.width / MAX_SIDE, plan.height / MAX_SIDE, math.sqrt(plan.width * plan.height / MAX_PIXELS))
        if over <= 1 or max(picture) * scale <= least:
            return plan
        scale = max(scale * min(0.98, 1 / over), least / max(picture) * 0.999)


def lay_out(page: Page, cell: tuple[int, int]) -> Plan:
    """The sheet of `page` with cells of that size. Letters grow with the sheet, so that they can still be read when it
    is fitted to a screen.
    """
    return _Layout(page, cell).plan


@dataclass
class _Layout:
    page: Page
    cell: tuple[int, int]
    labels: list[Label] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    cells: list[CellBox] = field(default_factory=list)
    swatches: list[Swatch] = field(default_factory=list)

    def __post_init__(self) -> None:
        page, (width, height) = self.page, self.cell
        self.gap = max(2, round(min(width, height) / 48))
        self.apart = self.gap * 5
        columns, blocks = len(page.columns), len(page.blocks)
        self.block = columns * width + (columns - 1) * self.gap + self.apart * (page.apart_column and columns > 1)
        self.between = self.gap * 8
        inner = blocks * self.block + (blocks - 1) * self.between
        # 1/64 of the sheet's width is 20 px when it is fitted to 1280 (of its height, 1/90); never larger than a cell
        # carries.
        wanted = max(14, round(max(inner / 64, len(page.rows) * height / 90)))
        self.text = max(9, min(wanted, round(min(width, height) * 0.16), 160))
        self.small = max(8, round(self.text * 0.85))
        self.margin = self.text
        self._gutter(inner)
        self.left = self.margin + self.gutter
        # A narrow sheet is given room for its title.
        self.inner = max(inner, min(round(self.text * 30), round(width * 2.5)), self.small * 9)
        self.width = self.left + self.inner + self.margin
        self.xs = self._columns()
        self.top = self._heading()
        self.ys, bottom = self._rows()
        self._places()
        self.height = self._legend(bottom)
        self._rules(bottom)
        self.plan = Plan(page,
            width=self.width, height=self.height, cells=tuple(self.cells), labels=tuple(self.labels),
            rules=tuple(self.rules), swatches=tuple(self.swatches), bands=self._bands(), text=self.text, gap=self.gap,
        )  # fmt: skip

    def _gutter(self, inner: int) -> None:
        """How wide the heads of the rows stand, and how they are broken."""
        page, (width, height) = self.page, self.cell
        self.row_heads: list[tuple[int, list[str]]] = []
        self.gutter = 0
        if not any(page.rows):
            return
        face = font(self.text, bold=True)
        natural = max(text_width(word, face) for word in page.rows)
        room = max(round(self.text * 4), min(natural, max(round(width * 1.2), round(inner * 0.16), self.text * 8)))
        self.row_heads = _fitted(page.rows, room, self.text, height)
        widest = max(
            (text_width(line, font(used, bold=True)) for used, lines in self.row_heads for line in lines), default=0
        )
        self.gutter = max(widest, self._corner_width()) + round(self.text * 0.9)

    def _corner_width(self) -> int:
        small = font(self.small)
        words = [f"{self.page.down} ↓"] * bool(self.page.down) + [f"{self.page.across} →"] * bool(self.page.across)
        return min(round(self.text * 9), max((text_width(word, small) for word in words), default=0))

    def _columns(self) -> list[list[int]]:
        result, left = [], self.left
        for _ in self.page.blocks:
            xs, x = [], left
            for column in range(len(self.page.columns)):
                xs.append(x)
                x += self.cell[0] + self.gap + self.apart * (self.page.apart_column and column == 0)
            result.append(xs)
            left += self.block + self.between
        return result

    def _heading(self) -> int:
        """Title, subtitles, heads of blocks and columns; returns where the first row begins."""
        page, text = self.page, self.text
        room = self.width - 2 * self.margin
        y = self.margin
        size = max(11, min(round(text * 1.5), 220))
        y = self._lines("title", page.title, self.margin, y, room, size, lines=2, bold=True)
        subtitles = list(page.subtitles)
        if page.pages > 1:
            subtitles.append(f"page {page.page} of {page.pages}")
        for words in subtitles:
            y = self._lines("subtitle", words, self.margin, y, room, self.small, lines=3, colour=SOFT)
        y += round(text * 0.7)
        if any(block.head for block in page.blocks):
            heads = [block.head for block in page.blocks]
            fitted = _fitted(heads, self.block, text, round(text * 4), lines=2)
            tallest = 0
            for xs, (used, lines) in zip(self.xs, fitted, strict=True):
                tallest = max(tallest, self._label("block", lines, xs[0], y, self.block, used, bold=True))
            y += tallest + round(text * 0.5)
        if any(page.columns):
            fitted = _fitted(page.columns, self.cell[0], text, self.cell[1], lines=_HEAD_LINES)
            tallest = max(_height(used, len(lines)) for used, lines in fitted)
            for xs in self.xs:
                for x, (used, lines) in zip(xs, fitted, strict=True):
                    top = y + tallest - _height(used, len(lines))
                    self._label("column", lines, x, top, self.cell[0], used, bold=True, centred=True)
            self._corner(y + tallest)
            y += tallest + round(text * 0.35)
        elif page.down and self.gutter:
            y += _height(self.small, 1)
            self._corner(y)
        if any(place.caption for place in page.places):
            captions = [place.caption for place in page.places if place.caption]
            fitted = _fitted(captions, self.cell[0], text, self.cell[1], lines=4)
            self.captions = dict(zip(captions, fitted, strict=True))
            self.caption_height = max(_height(used, len(lines)) for used, lines in fitted) + round(text * 0.5)
        else:
            self.captions, self.caption_height = {}, 0
        return y

    def _corner(self, bottom: int) -> None:
        words = [f"{self.page.across} →"] * bool(self.page.across) + [f"{self.page.down} ↓"] * bool(self.page.down)
        room = self.gutter - round(self.text * 0.6)
        if room < self.text * 2:
            return
        y = bottom - _height(self.small, len(words))
        for each in words:
            line = wrap(each, room, font(self.small).getlength, lines=1)
            y += self._label("axis", line, self.margin, y, room, self.small, colour=SOFT)

    def _rows(self) -> tuple[list[int], int]:
        ys, y, height = [], self.top, self.cell[1]
        last = len(self.page.rows) - 1
        for row in range(len(self.page.rows)):
            y += self.apart if self.page.apart_row and row == last and row else 0
            y += self.caption_height - (round(self.text * 0.3) if self.caption_height and not row else 0)
            ys.append(y)
            y += height + self.gap
        return ys, y - self.gap

    def _places(self) -> None:
        page, (width, height) = self.page, self.cell
        for y, (used, lines) in zip(self.ys, self.row_heads, strict=False):
            top = y + max(0, (height - _height(used, len(lines))) // 2)
            self._label("row", lines, self.margin, top, self.gutter, used, bold=True)
        for block, xs in zip(page.blocks, self.xs, strict=True):
            for row, y in zip(block.rows, self.ys, strict=True):
                for place, x in zip(row, xs, strict=True):
                    if place is None:
                        continue
                    self.cells.append(CellBox(place, Box(x, y, width, height)))
                    if place.caption:
                        used, lines = self.captions[place.caption]
                        top = y - round(self.text * 0.2) - _height(used, len(lines))
                        self._label("caption", lines, x, top, width, used, bold=True)
        if page.note and page.apart_row:
            self._note()

    def _note(self) -> None:
        """What the lone picture of a baseline row shows, in the room beside it."""
        x = self.xs[0][0] + self.cell[0] + self.gap * 4
        end = self.xs[0][-1] + self.cell[0] if len(self.page.blocks) > 1 else self.left + self.inner
        room = end - x
        if room < self.text * 6:
            return
        fits = max(1, int(self.cell[1] / (self.small * 1.3)))
        lines = wrap(self.page.note, room, font(self.small).getlength, lines=fits)
        self._label("note", lines, x, self.ys[-1], room, self.small, colour=SOFT)

    def _legend(self, bottom: int) -> int:
        """The signs that are on the sheet and what they mean; returns the height of the sheet."""
        shown = {_sign(place) for place in self.page.places} | {
            "highlighted" for place in self.page.places if place.highlighted
        }
        words = [(kind, name) for kind, name in _LEGEND.items() if kind in shown]
        if not words:
            return bottom + self.margin
        x, y = self.margin, bottom + round(self.text * 0.9)
        line = _height(self.small, 1)
        end = self.width - self.margin
        for kind, name in words:
            side = round(self.small * 1.05)
            room = round(self.small * 1.5)
            needed = room + text_width(name, font(self.small))
            if x > self.margin and x + needed > end:
                x, y = self.margin, y + round(line * 1.2)
            self.swatches.append(Swatch(kind, Box(x, y + max(0, (line - side) // 2), side, side)))
            self._label("legend", [name], x + room, y, needed - room, self.small, colour=SOFT)
            x += needed + round(self.text * 1.6)
        return y + line + round(self.text * 0.8)

    def _rules(self, bottom: int) -> None:
        page = self.page
        thick = max(1, self.gap // 3)
        head = min((label.box.y for label in self.labels if label.kind in ("block", "column")), default=self.top)
        for xs in self.xs[1:]:
            self.rules.append(Rule(Box(xs[0] - self.between // 2 - thick // 2, head, thick, bottom - head)))
        if page.apart_row and len(page.rows) > 1:
            y = self.ys[-1] - self.caption_height - (self.apart + self.gap) // 2
            self.rules.append(Rule(Box(self.margin, y, self.width - 2 * self.margin, thick)))
        if page.apart_column and len(page.columns) > 1:
            for xs in self.xs:
                x = xs[1] - (self.apart + self.gap) // 2
                self.rules.append(Rule(Box(x, self.top, thick, bottom - self.top)))

    def _bands(self) -> tuple[tuple[int, int], ...]:
        # Cells are drawn by rows; what is between them in pieces of at most the same height.
        edges = [0]
        for y in self.ys:
            edges += [y, y + self.cell[1]]
        edges.append(self.height)
        bands = []
        for top, bottom in itertools.pairwise(edges):
            step = max(self.cell[1], 64)
            bands += [(start, min(bottom, start + step)) for start in range(top, bottom, step)]
        return tuple(bands)

    def _lines(
        self, kind: LabelKind, words: str, x: int, y: int, room: int, size: int, *, lines: int, bold: bool = False,
        colour: str = INK,
    ) -> int:  # fmt: skip
        if not words.strip():
            return y
        broken = wrap(" ".join(words.split()), room, font(size, bold=bold).getlength, lines=lines)
        return y + self._label(kind, broken, x, y, room, size, bold=bold, colour=colour)

    def _label(
        self, kind: LabelKind, lines: Sequence[str], x: int, y: int, width: int, size: int, *, bold: bool = False,
        colour: str = INK, centred: bool = False,
    ) -> int:  # fmt: skip
        height = _height(size, len(lines))
        if any(lines):
            self.labels.append(Label(kind, tuple(lines), Box(x, y, width, height), size, bold, colour, centred))
        return height


def line_height(size: int) -> int:
    """Pixels from one line of letters of `size` to the next."""
    return math.ceil(size * 1.32)


def _height(size: int, lines: int) -> int:
    return line_height(size) * lines


def _sign(place: Place) -> str:
    return place.state if place.state != "ready" or place.picture is not None else "pending"


def _fitted(words: Sequence[str], room: int, size: int, height: int, *, lines: int = 0) -> list[tuple[int, list[str]]]:
    """All `words` broken for `room` pixels, in the largest letters up to `size` in which they fit `height` and `lines`.

    Where none do, they end with an ellipsis in the smallest that can be read.
    """
    flat = [" ".join(word.split()) for word in words]
    short = all(len(word) <= _SHORT for word in flat)
    # Short heads stand on one line, in smaller letters if need be; long ones are broken in larger letters.
    for most_lines in (1, lines) if short else (lines,):
        cut: dict[str, list[str]] = {}
        used = size
        for share in _SHRINK:
            used = max(9, round(size * share))
            face = font(used, bold=True)
            most = max(1, height // line_height(used))
            most = min(most, most_lines) if most_lines else most
            measure = face.getlength
            # One line more than there may be tells whether all of it fits.
            trial = {word: wrap(word, room, measure, lines=most + 1) for word in dict.fromkeys(flat)}
            if all(len(lines_of) <= most for lines_of in trial.values()) and not any(
                _broken(word, room, measure) for word in trial
            ):
                return [(used, trial[word]) for word in flat]
            cut = {word: wrap(word, room, measure, lines=most) for word in trial}
    return [(used, cut[word]) for word in flat]


def _broken(word: str, room: int, measure: Callable[[str], float]) -> bool:
    """Whether a single word of it is wider than the room."""
    return any(len(part) > 3 and part.isascii() and measure(part) > room for part in word.split())
