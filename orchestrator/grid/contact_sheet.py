"""Contact sheets: many pictures on one PNG with numbers, so that they can be named, and marks for what was seen.

Rows are the settings of a ramp and columns its seeds, in blocks by source picture; or simply rows of a set's pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from PIL import Image, ImageDraw

from orchestrator.errors import InputError, PictureError
from orchestrator.files import open_picture
from orchestrator.grid.fonts import font, text_width, wrap
from orchestrator.grid.layout import MAX_PIXELS, MAX_SIDE

Mark = Literal["hit", "miss", "held", "lost", "unsure"]

_PAPER = "#ffffff"
_INK = "#1c2430"
_SOFT = "#5b6675"
_RULE = "#c9d0d9"
_STRIP = "#f3f5f7"
_FAILED = ("#fbe9e7", "#8c1d18")
_EMPTY = ("#eef1f4", "#5b6675")
#: Colour and words of each mark. Blue and orange differ for colour-blind eyes too; the signs differ for all.
_MARKS: Final[dict[Mark, tuple[str, str]]] = {
    "hit": ("#1769aa", "shows what was asked for"),
    "miss": ("#8a94a0", "does not show it"),
    "held": ("#1769aa", "still the face of its source"),
    "lost": ("#c2410c", "another face, or none"),
    "unsure": ("#8a94a0", "face cannot be told"),
}
#: What a sheet is fitted to: about the width of a screen, with cells in which a face can still be seen.
_WIDTH: Final = 2000
_CELLS: Final = (112, 320)


@dataclass(frozen=True)
class Tile:
    """One place of a sheet. Without a `path` the place says why: `error`, or that nothing is there."""

    number: str
    path: Path | None
    error: str = ""
    #: Beside the number: a score, a seed.
    note: str = ""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row: what it is called, what was found about it, and its pictures (None = the place stays free)."""

    tiles: tuple[Tile | None, ...]
    label: str = ""
    note: str = ""


@dataclass(frozen=True)
class ContactSheet:
    """What a sheet shows. `heads` stand over the columns; `blocks` are (words, first column) over several of them."""

    title: str
    rows: tuple[Row, ...]
    subtitle: str = ""
    heads: tuple[str, ...] = ()
    blocks: tuple[tuple[str, int], ...] = ()
    #: Under the sheet, after the meaning of the marks on it.
    remarks: tuple[str, ...] = field(default=())

    @property
    def columns(self) -> int:
        """Places of the longest row."""
        return max((len(row.tiles) for row in self.rows), default=0)


def rows_of(tiles: Sequence[Tile], columns: int = 0) -> tuple[Row, ...]:
    """Pictures without settings, in rows of `columns` (0 = as many as make a sheet a little wider than high)."""
    across = columns or min(len(tiles), max(4, round((len(tiles) * 1.4) ** 0.5)))
    return tuple(Row(tuple(tiles[start : start + across])) for start in range(0, len(tiles), max(1, across)))


def draw_contact_sheet(sheet: ContactSheet) -> Image.Image:
    """The sheet as a picture. Pictures are shrunk, never enlarged; one that cannot be read is drawn as failed.

    Raises `InputError` when there are more pictures than any sheet can hold.
    """
    return _Drawing(sheet).image


class _Drawing:
    """The arithmetic and the strokes of one sheet; sizes in pixels."""

    def __init__(self, sheet: ContactSheet) -> None:
        self.sheet = sheet
        picture = _picture_size(sheet)
        cell = min(_CELLS[1], max(_CELLS[0], round(_WIDTH / max(1, sheet.columns))))
        scale = min(1.0, cell / picture[0], cell * 1.5 / picture[1])
        self.cell = (max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale)))
        self.text = 22 if sheet.columns * self.cell[0] > 1200 else 18
        self.gap = max(6, self.cell[0] // 40)
        self.strip = round(self.text * 1.5)
        self.margin = self.text * 2
        self.label = font(self.text, bold=True)
        self.small = font(round(self.text * 0.8))
        self.bold = font(round(self.text * 0.85), bold=True)
        self._place()
        if self.width * self.height > MAX_PIXELS or max(self.width, self.height) > MAX_SIDE:
            raise InputError(
                f"{len(sheet.rows)} × {sheet.columns} pictures do not fit on one sheet.",
                fix="Use fewer settings or seeds; the pictures themselves are in the set's folder.",
            )
        self.image = Image.new("RGB", (self.width, self.height), _PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self._heading()
        for index, row in enumerate(sheet.rows):
            self._row(row, self.ys[index])
        self._foot()

    def _place(self) -> None:
        sheet, text = self.sheet, self.text
        starts = {column for _, column in sheet.blocks if column}
        widest = max((text_width(line, self.label) for row in sheet.rows for line in row.label.splitlines()), default=0)
        notes = max((text_width(line, self.small) for row in sheet.rows for line in row.note.splitlines()), default=0)
        labelled = any(row.label or row.note for row in sheet.rows)
        self.gutter = min(max(widest, notes), round(text * 17)) + text * 2 if labelled else 0
        x, self.xs = self.margin + self.gutter, []
        for column in range(sheet.columns):
            x += self.gap * 4 if column in starts else 0
            self.xs.append(x)
            x += self.cell[0] + self.gap
        pictures = x - self.gap + self.margin
        self.width = max(pictures, round(text * 34))
        self.inner = self.width - 2 * self.margin
        self.title = wrap(sheet.title, self.inner, font(round(text * 1.5), bold=True).getlength, lines=2)
        self.subtitle = wrap(sheet.subtitle, self.inner, self.small.getlength, lines=3) if sheet.subtitle else []
        self.remarks = [
            line for remark in sheet.remarks for line in wrap(remark, self.inner, self.small.getlength, lines=3)
        ]
        y = self.margin + round(text * 2.3) * len(self.title) + round(text * 1.3) * len(self.subtitle) + text
        y += round(text * 1.5) * (bool(sheet.blocks) + bool(sheet.heads))
        self.top, self.ys = y, []
        for _ in sheet.rows:
            self.ys.append(y)
            y += self.cell[1] + self.strip + self.gap * 2
        self.bottom = y + text // 2
        self.legend = [mark for mark in _MARKS if any(mark in t.marks for r in sheet.rows for t in r.tiles if t)]
        lines = len(self._legend_lines()) + len(self.remarks)
        self.height = self.bottom + round(text * 1.4) * lines + (self.margin if lines else self.margin // 2)

    def _heading(self) -> None:
        sheet, text = self.sheet, self.text
        y = self.margin
        for line in self.title:
            self.draw.text((self.margin, y), line, fill=_INK, font=font(round(text * 1.5), bold=True))
            y += round(text * 2.3)
        for line in self.subtitle:
            self.draw.text((self.margin, y), line, fill=_SOFT, font=self.small)
            y += round(text * 1.3)
        heads = self.top - round(text * 1.5)
        blocks = heads - (round(text * 1.5) if sheet.heads else 0)
        ends = [column for _, column in sheet.blocks[1:]] + [sheet.columns]
        for (words, column), end in zip(sheet.blocks, ends, strict=False):
            room = self.xs[end - 1] + self.cell[0] - self.xs[column]
            line = wrap(words, room, self.label.getlength, lines=1)[0]
            self.draw.text((self.xs[column], blocks), line, fill=_INK, font=self.label)
        for column, words in enumerate(sheet.heads):
            line = wrap(words, self.cell[0], self.small.getlength, lines=1)[0]
            self.draw.text((self.xs[column], heads + text // 4), line, fill=_SOFT, font=self.small)

    def _row(self, row: Row, top: int) -> None:
        room = self.gutter - self.text
        y = top
        if row.label or row.note:
            lines = wrap(row.label, room, self.label.getlength, lines=4)
            for line in lines:
                self.draw.text((self.margin, y), line, fill=_INK, font=self.label)
                y += round(self.text * 1.3)
            for note in row.note.splitlines():
                for line in wrap(note, room, self.small.getlength, lines=2):
                    self.draw.text((self.margin, y + self.text // 4), line, fill=_SOFT, font=self.small)
                    y += round(self.text * 1.1)
        for column, tile in enumerate(row.tiles):
            if tile is not None:
                self._tile(tile, self.xs[column], top)

    def _tile(self, tile: Tile, x: int, y: int) -> None:
        width, height = self.cell
        error = tile.error
        box = (x, y, x + width - 1, y + height - 1)
        if tile.path is not None and not error:
            try:
                picture = open_picture(tile.path)
            except PictureError as problem:
                error = problem.what
            else:
                picture.thumbnail((width, height), Image.Resampling.LANCZOS)
                self.draw.rectangle(box, fill=_EMPTY[0])
                self.image.paste(picture, (x + (width - picture.width) // 2, y + (height - picture.height) // 2))
        if tile.path is None or error:
            paper, ink = _FAILED if error else _EMPTY
            self.draw.rectangle(box, fill=paper)
            pad = self.text // 2
            face = font(max(11, round(self.text * 0.7)))
            self.draw.text((x + pad, y + pad), "failed" if error else "not there", fill=ink, font=self.bold)
            fits = max(0, int((height - 2.4 * self.text) / (self.text * 0.9)))
            for index, line in enumerate(wrap(error, width - 2 * pad, face.getlength, lines=fits) if fits else []):
                at = (x + pad, y + pad + round(self.text * 1.3) + round(self.text * 0.9) * index)
                self.draw.text(at, line, fill=ink, font=face)
        if tile.number or tile.note or tile.marks:
            self._strip(tile, x, y + height)

    def _strip(self, tile: Tile, x: int, y: int) -> None:
        width, text = self.cell[0], self.text
        colour = next((_MARKS[mark][0] for mark in tile.marks if mark in ("lost", "hit", "held")), "")
        self.draw.rectangle((x, y, x + width - 1, y + self.strip - 1), fill=_STRIP)
        if colour:
            self.draw.rectangle((x, y, x + width - 1, y + max(3, text // 6)), fill=colour)
        middle = y + self.strip // 2 + text // 12
        self.draw.text((x + text // 3, middle), tile.number, fill=_INK, font=self.bold, anchor="lm")
        right = x + width - text // 3
        for mark in reversed(tile.marks):
            right -= text
            self._sign(mark, right, middle - text // 2 + text // 12, round(text * 0.86))
            right -= text // 5
        room = right - (x + text // 3 + text_width(tile.number, self.bold) + text // 3)
        if tile.note and text_width(tile.note, self.small) <= room:
            self.draw.text((right - text // 6, middle), tile.note, fill=_SOFT, font=self.small, anchor="rm")

    def _sign(self, mark: Mark, x: int, y: int, size: int) -> None:
        """A filled disc with a tick (hit, held), a cross (lost) or a question mark; an open one for a miss."""
        colour = _MARKS[mark][0]
        scale = 4  # drawn larger and reduced: Pillow's circles have steps
        big = Image.new("RGBA", (size * scale, size * scale), (255, 255, 255, 0))
        pen = ImageDraw.Draw(big)
        side = size * scale - 1
        stroke = max(2, side // 8)
        if mark == "miss":
            pen.ellipse(
                (stroke // 2, stroke // 2, side - stroke // 2, side - stroke // 2), outline=colour, width=stroke
            )
        else:
            pen.ellipse((0, 0, side, side), fill=colour)
        if mark in ("hit", "held"):
            points = [(0.24 * side, 0.52 * side), (0.43 * side, 0.71 * side), (0.77 * side, 0.32 * side)]
            pen.line(points, fill="white", width=stroke, joint="curve")
        elif mark == "lost":
            for line in (((0.3, 0.3), (0.7, 0.7)), ((0.7, 0.3), (0.3, 0.7))):
                pen.line([(a * side, b * side) for a, b in line], fill="white", width=stroke)
        elif mark == "unsure":
            pen.text((side / 2, side / 2), "?", fill="white", font=font(int(side * 0.75), bold=True), anchor="mm")
        small = big.resize((size, size), Image.Resampling.LANCZOS)
        self.image.paste(small, (x, y), small)

    def _legend_lines(self) -> list[list[Mark]]:
        lines: list[list[Mark]] = []
        room = 0
        for mark in self.legend:
            needed = text_width(_MARKS[mark][1], self.small) + self.text * 3
            if not lines or needed > room:
                lines.append([])
                room = self.inner
            lines[-1].append(mark)
            room -= needed
        return lines

    def _foot(self) -> None:
        text, y = self.text, self.bottom
        if self.legend or self.remarks:
            line = y - text // 2
            self.draw.line([(self.margin, line), (self.width - self.margin, line)], fill=_RULE, width=1)
        for marks in self._legend_lines():
            x = self.margin
            for mark in marks:
                self._sign(mark, x, y + text // 4, round(text * 0.86))
                self.draw.text((x + round(text * 1.2), y + text // 5), _MARKS[mark][1], fill=_SOFT, font=self.small)
                x += text_width(_MARKS[mark][1], self.small) + text * 3
            y += round(text * 1.4)
        for line_of_text in self.remarks:
            self.draw.text((self.margin, y + text // 5), line_of_text, fill=_SOFT, font=self.small)
            y += round(text * 1.4)


def _picture_size(sheet: ContactSheet) -> tuple[int, int]:
    for row in sheet.rows:
        for tile in row.tiles:
            if tile is not None and tile.path is not None and not tile.error:
                try:
                    with Image.open(tile.path) as image:
                        return image.size
                except OSError:  # drawn as failed where its turn comes
                    continue
    return 512, 512
