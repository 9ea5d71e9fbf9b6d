"""Fonts for sheets: one the system has that knows Japanese, else any, else the one inside Pillow; and wrapping by
pixels.
"""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

#: File names in the order we like them; the first that exists is taken. Those above DejaVu hold Japanese.
_REGULAR = (
    "NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf", "NotoSansJP-Regular.otf", "NotoSansJP-VF.ttf",
    "YuGothM.ttc", "YuGothR.ttc", "meiryo.ttc", "msgothic.ttc", "ヒラギノ角ゴシック W3.ttc", "Hiragino Sans GB.ttc",
    "ipaexg.ttf", "ipagp.ttf", "TakaoPGothic.ttf",
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "segoeui.ttf", "Helvetica.ttc",
)  # fmt: skip
_BOLD = (
    "NotoSansCJK-Bold.ttc", "NotoSansCJKjp-Bold.otf", "NotoSansJP-Bold.otf", "YuGothB.ttc", "meiryob.ttc",
    "ヒラギノ角ゴシック W6.ttc",
)  # fmt: skip


@functools.cache
def font(size: int, *, bold: bool = False) -> Font:
    """A font of that size in pixels. Bold falls back to the regular one rather than to a font without Japanese."""
    for path in _candidates(bold):
        try:
            return ImageFont.truetype(path, size)
        except OSError:  # a damaged font file, or a name listed without a file: the next one will do
            continue
    return ImageFont.load_default(size)


def text_width(text: str, face: Font) -> int:
    """Width of one line in pixels."""
    return round(face.getlength(text))


def wrap(text: str, width: int, measure: Callable[[str], float], *, lines: int = 0) -> list[str]:
    """`text` broken so that no line is wider than `width` pixels.

    Breaks at blanks; between any two characters where one of them is Chinese, Japanese or Korean; and inside a word
    only when the word alone is too wide. With `lines` > 0 the rest is cut off with an ellipsis.
    """
    result: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for piece in _pieces(paragraph):
            if not line.strip() or measure((line + piece).rstrip()) <= width:
                line = line + piece if line.strip() else piece.lstrip()
            else:
                result.append(line.rstrip())
                line = piece.lstrip()
            while measure(line.rstrip()) > width and len(line) > 1:
                cut = max((n for n in range(1, len(line)) if measure(line[:n]) <= width), default=1)
                result.append(line[:cut])
                line = line[cut:]
        result.append(line.rstrip())
    if lines and len(result) > lines:
        last = result[lines - 1]
        while last and measure(last + "…") > width:
            last = last[:-1]
        result = [*result[: lines - 1], last + "…"]
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


@functools.cache
def _candidates(bold: bool) -> tuple[str, ...]:
    found = {
        path.name: str(path) for folder in _folders() if folder.is_dir() for path in sorted(folder.rglob("*.[ot]t[fc]"))
    }
    return tuple(found[name] for name in (*(_BOLD if bold else ()), *_REGULAR) if name in found)


def _folders() -> list[Path]:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        folders = [Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")]
        return [*folders, Path(local, "Microsoft", "Windows", "Fonts")] if local else folders
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), Path.home() / "Library" / "Fonts"]
    shared = [
        Path(folder, "fonts")
        for folder in os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
        if folder
    ]
    return [*shared, Path.home() / ".local" / "share" / "fonts", Path.home() / ".fonts"]
