"""Draws a planned sheet strip by strip: pictures are decoded for the next one while the last one is being written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from orchestrator.errors import PictureError
from orchestrator.files import open_picture
from orchestrator.grid.fonts import font, wrap
from orchestrator.grid.layout import (
    FAILED,
    HATCH,
    PAPER,
    PENDING,
    WINNER,
    Box,
    CellBox,
    Label,
    Plan,
    Swatch,
    line_height,
)
from orchestrator.grid.page import Place
from orchestrator.grid.png_stream import Strip

#: Strips larger than this are not drawn ahead: two of them would be too much memory.
_AHEAD_BYTES: Final = 64 << 20


def strips(plan: Plan) -> Iterator[Strip]:
    """The sheet from its top, in strips of (rows, width, 3). A picture that cannot be read is drawn as failed.

    Memory is that of two strips of one row of cells each, and of what the caller still holds.
    """
    rows: dict[int, list[CellBox]] = {}
    for cell in plan.cells:
        rows.setdefault(cell.box.y, []).append(cell)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="cells") as pool:
        current = _begun(plan, rows, plan.bands[0], pool)
        for band in plan.bands[1:]:
            ahead = (band[1] - band[0]) * plan.width * 3 <= _AHEAD_BYTES
            upcoming = _begun(plan, rows, band, pool) if ahead else None
            yield _finished(current, plan)
            current = _begun(plan, rows, band, pool) if upcoming is None else upcoming
        yield _finished(current, plan)


def draw(plan: Plan) -> Image.Image:
    """The whole sheet in memory: for small ones, and for formats that are encoded whole."""
    whole = np.empty((plan.height, plan.width, 3), np.uint8)
    top = 0
    for strip in strips(plan):
        whole[top : top + len(strip)] = strip
        top += len(strip)
    return Image.fromarray(whole)


class _Band:
    """One strip while it is drawn. Everything on it is a small picture of its own, cut off at the strip's edges."""

    def __init__(self, width: int, top: int, bottom: int) -> None:
        self.canvas: Strip = np.full((bottom - top, width, 3), 255, np.uint8)
        self.top, self.bottom = top, bottom
        #: Pictures on their way here, and why one cannot be shown.
        self.decoding: list[tuple[CellBox, Future[str]]] = []

    def holds(self, box: Box, beyond: int = 0) -> bool:
        """Whether any of `box`, grown by `beyond`, is on it."""
        return box.y - beyond < self.bottom and box.bottom + beyond > self.top

    def paste(self, pixels: Strip, x: int, y: int) -> None:
        """Put a small picture at that place of the sheet."""
        height, width = pixels.shape[:2]
        first, last = max(self.top, y), min(self.bottom, y + height)
        left, right = max(0, x), min(self.canvas.shape[1], x + width)
        if first < last and left < right:
            cut = pixels[first - y : last - y, left - x : right - x]
            self.canvas[first - self.top : last - self.top, left:right] = cut

    def fill(self, box: Box, colour: str) -> None:
        """Fill what is here of a box."""
        first, last = max(self.top, box.y) - self.top, min(self.bottom, box.bottom) - self.top
        if first < last:
            self.canvas[first:last, max(0, box.x) : box.right] = ImageColor.getrgb(colour)[:3]


def _begun(plan: Plan, rows: Mapping[int, list[CellBox]], band: tuple[int, int], pool: ThreadPoolExecutor) -> _Band:
    """A strip with everything on it but the pictures, which are on their way."""
    made = _Band(plan.width, *band)
    frame = max(2, round(plan.gap * 0.7))
    near = [cell for row in rows.values() if made.holds(row[0].box, frame) for cell in row]
    for rule in plan.rules:
        if made.holds(rule.box):
            made.fill(rule.box, rule.colour)
    for label in plan.labels:
        if made.holds(label.box):
            _label(made, label)
    for swatch in plan.swatches:
        if made.holds(swatch.box):
            made.paste(_swatch(swatch), swatch.box.x, swatch.box.y)
    for cell in near:
        if cell.place.highlighted:
            box = cell.box
            made.fill(Box(box.x - frame, box.y - frame, box.width + 2 * frame, box.height + 2 * frame), WINNER)
    for cell in near:
        if made.holds(cell.box):
            if cell.place.state == "ready" and cell.place.picture is not None:
                made.decoding.append((cell, pool.submit(_picture, made, cell)))
            else:
                made.paste(_without(cell.place, cell.box, plan), cell.box.x, cell.box.y)
    return made


def _finished(band: _Band, plan: Plan) -> Strip:
    """The strip when every picture on it is there. Words are set here: threads may not share FreeType's fonts."""
    for cell, decoded in band.decoding:
        if problem := decoded.result():
            band.paste(_without(Place(None, "failed", problem), cell.box, plan), cell.box.x, cell.box.y)
        elif cell.place.highlighted:
            size = max(9, min(plan.text, cell.box.width // 5))
            band.paste(_diamond(round(size * 1.5), round(size * 1.05)), cell.box.x, cell.box.y)
    return band.canvas


def _picture(band: _Band, cell: CellBox) -> str:
    """Decode a picture into its strip; returns why it cannot be."""
    box = cell.box
    try:
        image = _opened(cell.place)
    except PictureError as problem:
        return problem.what
    if image.width > box.width or image.height > box.height:
        image.thumbnail((box.width, box.height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if image.size != (box.width, box.height):
        band.fill(box, PENDING[0])
    x, y = box.x + (box.width - image.width) // 2, box.y + (box.height - image.height) // 2
    band.paste(np.asarray(image), x, y)
    return ""


def _opened(place: Place) -> Image.Image:
    if isinstance(place.picture, Image.Image):
        return place.picture.convert("RGB")
    assert place.picture is not None
    return open_picture(place.picture)


def _label(band: _Band, label: Label) -> None:
    face = font(label.size, bold=label.bold)
    step = line_height(label.size)
    image = Image.new("RGB", (label.box.width, label.box.height + step // 3), PAPER)
    pen = ImageDraw.Draw(image)
    for index, line in enumerate(label.lines):
        x = (label.box.width - face.getlength(line)) / 2 if label.centred else 0
        # The font's own line is 1.45 times its size, most of that above; letters stand on the same line in all sizes.
        pen.text((x, index * step + round(label.size * 1.02)), line, fill=label.colour, font=face, anchor="ls")
    band.paste(np.asarray(image), label.box.x, label.box.y)


def _without(place: Place, box: Box, plan: Plan) -> Strip:
    return np.asarray(without_picture(place, box.width, box.height, plan.text))


def without_picture(place: Place, width: int, height: int, text: int) -> Image.Image:
    """How a place looks that has no picture: its state and the reason, in letters of at most `text` pixels."""
    if place.state == "left out":
        image = hatched(width, height)
        head, (paper, ink), outline = "left out", (PAPER, PENDING[1]), HATCH
    else:
        failed = place.state == "failed"
        head = "failed" if failed else "not made yet"
        paper, ink = FAILED if failed else PENDING
        outline = ink
        image = Image.new("RGB", (width, height), paper)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width - 1, height - 1), outline=outline, width=max(1, min(width, height) // 128))
    size = max(8, min(text, round(width / 9), round(height / 5)))
    small = max(8, round(size * 0.8))
    pad = max(2, round(size * 0.8))
    room = max(1, width - 2 * pad)
    bold, face = font(size, bold=True), font(small)
    heads = wrap(head, room, bold.getlength, lines=2)
    fits = max(0, (height - pad - line_height(size) * len(heads)) // line_height(small))
    why = wrap(" ".join(place.reason.split()), room, face.getlength, lines=fits) if place.reason and fits else []
    tall = line_height(size) * len(heads) + line_height(small) * len(why)
    y = max(0, (height - tall) // 2)
    if place.state == "left out":
        widest = max([bold.getlength(line) for line in heads] + [face.getlength(line) for line in why])
        edge = min(width, pad + round(widest) + pad // 2)
        # A clear ground, so that the words can be read.
        pen.rectangle((pad // 2, y - pad // 4, edge, y + tall + pad // 4), fill=paper)
    for index, line in enumerate(heads):
        pen.text((pad, y + index * line_height(size) + round(size * 1.02)), line, fill=ink, font=bold, anchor="ls")
    y += line_height(size) * len(heads)
    for index, line in enumerate(why):
        pen.text((pad, y + index * line_height(small) + round(small * 1.02)), line, fill=ink, font=face, anchor="ls")
    return image


def hatched(width: int, height: int, *, step: int = 0, colour: str = HATCH) -> Image.Image:
    """Paper with slanted lines: what was left out on purpose."""
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    step = step or max(6, min(width, height) // 16)
    for offset in range(-height, width, step):
        pen.line([(offset, height), (offset + height, 0)], fill=colour, width=max(1, step // 6))
    return image


def _diamond(side: int, size: int) -> Strip:
    image = Image.new("RGB", (side, side), WINNER)
    ImageDraw.Draw(image).text((side / 2, side / 2), "◆", fill="white", font=font(size), anchor="mm")
    return np.asarray(image)


def _swatch(swatch: Swatch) -> Strip:
    side = swatch.box.width
    if swatch.kind == "highlighted":
        return _diamond(side, max(7, round(side * 0.7)))
    image = (
        hatched(side, side, step=max(4, side // 4), colour=PENDING[1])
        if swatch.kind == "left out"
        else Image.new("RGB", (side, side))
    )
    pen = ImageDraw.Draw(image)
    if swatch.kind != "left out":
        paper, ink = FAILED if swatch.kind == "failed" else PENDING
        pen.rectangle((0, 0, side - 1, side - 1), fill=paper, outline=ink)
    else:
        pen.rectangle((0, 0, side - 1, side - 1), outline=PENDING[1])
    return np.asarray(image)
