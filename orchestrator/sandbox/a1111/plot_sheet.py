"""The grid picture of the x/y/z plot: cells, and a legend drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_INK = "#000000"
_PAPER = "#ffffff"
_LARGEST_TEXT = 40


def sheet(images: Sequence[Image.Image], rows: int, margin: int = 0) -> Image.Image:
    """All images row by row, cells of the largest size, `margin` pixels between them."""
    columns = math.ceil(len(images) / rows)
    width, height = max(i.width for i in images), max(i.height for i in images)
    out = Image.new("RGB", (columns * (width + margin) - margin, rows * (height + margin) - margin), _PAPER)
    for at, image in enumerate(images):
        out.paste(image.convert("RGB"), (at % columns * (width + margin), at // columns * (height + margin)))
    return out


def _fitting(text: str, size: float, width: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, list[str]]:
    font = ImageFont.load_default(max(size, 5))
    lines: list[str] = []
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    while size > 5 and max(font.getlength(line) for line in lines) > width:
        size -= 1
        font = ImageFont.load_default(size)
    return font, lines


def with_legend(
    grid: Image.Image, cell: tuple[int, int], columns: Sequence[str], rows: Sequence[str], margin: int = 0
) -> Image.Image:
    """The sheet with words above each column and left of each row; no left strip when no row has words.

    Text size is (width + height of a cell) / 25 pixels up to 40, the strip on the left three quarters of a cell.
    """
    width, height = cell
    size = min((width + height) // 25, _LARGEST_TEXT)
    spacing = size // 2
    left = width * 3 // 4 if any(rows) else 0
    above = [_fitting(text, size, width) for text in columns]
    beside = [_fitting(text, size, max(left - 2, 1)) for text in rows]
    line = size + spacing
    top = max(len(lines) * line - spacing for _, lines in above) + 2 * spacing if any(columns) else 0
    out = Image.new("RGB", (grid.width + left, grid.height + top), _PAPER)
    out.paste(grid, (left, top))
    pen = ImageDraw.Draw(out)
    for at, (font, lines) in enumerate(above if any(columns) else []):
        x = left + at * (width + margin) + width / 2
        for row, text in enumerate(lines):
            pen.text((x, spacing + row * line + size / 2), text, _INK, font=font, anchor="mm")
    for at, (font, lines) in enumerate(beside if any(rows) else []):
        middle = top + at * (height + margin) + height / 2
        for row, text in enumerate(lines):
            y = middle + (row - (len(lines) - 1) / 2) * line
            pen.text((left / 2, y), text, _INK, font=font, anchor="mm")
    return out
