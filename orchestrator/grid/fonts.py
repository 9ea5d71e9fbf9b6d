"""The fonts of sheets, which know Latin, Japanese, the common Chinese and Korean characters; and wrapping by pixels.

They come with the package (decision 0020), so that a sheet looks the same on every machine.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

FOLDER: Final = Path(__file__).with_name("font_files")


@functools.cache
def font(size: int, *, bold: bool = False) -> Font:
    """A font of that size in pixels."""
    # Pillow's other layout engine is not in every build of it, and sets the same letters elsewhere.
    name = "OrchestratorSans-Bold.otf" if bold else "OrchestratorSans-Regular.otf"
    return ImageFont.truetype(FOLDER / name, size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, face: Font) -> int:
    """Width of one line in pixels."""
    return round(face.getlength(text))


def wrap(text: str, width: int, measure: Callable[[str], float], *, lines: int = 0) -> list[str]:
    """`text` broken so that no line is wider than `width` pixels.

    Breaks at blanks; between any two characters where one of them is Chinese, Japanese or Korean; and inside a word
    only when the word alone is too wide. With `lines` > 0 the rest is cut off with an ellipsis.
    """
    size = functools.cache(measure)
    result: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line, used = "", 0.0
        for piece in _pieces(paragraph):
            if lines and len(result) > lines:
                break
            # Pieces are measured one by one: a whole line again for each of its words takes ten times as long.
            if not line.strip() or used + size(piece.rstrip()) <= width:
                line = line + piece if line.strip() else piece.lstrip()
                used = used + size(piece) if line != piece.lstrip() else size(line)
            else:
                result.append(line.rstrip())
                line = piece.lstrip()
                used = size(line)
            while used > width and len(line) > 1 and line.strip() and size(line.rstrip()) > width:
                cut = next((n for n in range(1, len(line)) if size(line[: n + 1]) > width), len(line) - 1)
                result.append(line[:cut])
                line = line[cut:]
                used = size(line)
        result.append(line.rstrip())
    if lines and len(result) > lines:
        last = result[lines - 1]
        while last and measure(last + "…") > width:
            last = last[:-1]
        result = [*result[: lines - 1], last.rstrip(" ,、") + "…"]
    return result


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for character in text:
        glued = pieces and not (_is_wide(character) or _is_wide(pieces[-1][-1]) or (pieces[-1][-1] == " " != character))
        # closing punctuation never begins a line
        if glued or (pieces and character in "、。，．」』）】！？"):
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
