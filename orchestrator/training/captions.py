"""Captions as sd-scripts reads them: UTF-8, the first line, the picture's name with `.txt`.

Read in `train_util.py` of v0.10.1 (`read_caption`, `glob_images`) and observed there: a caption that is not UTF-8 and
an empty file end the training after the model was loaded, a first line that is blank trains on no words at all, and
whatever stands below the first line is left out without a word.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.dataset.captions import face_caption, likely_encoding
from orchestrator.kohya.dataset_config import CAPTION_EXTENSION

#: The suffixes it looks for, in small letters and in capitals; a mixture is seen only where the file system knows no
#: difference (Windows).
_SEEN = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
#: Seen only where a plug-in of Pillow is installed in the trainer's Python, which nobody can tell beforehand.
MAYBE_SEEN = frozenset({".avif", ".jxl"})
#: Pictures to everybody else.
NEVER_SEEN = frozenset({".gif", ".tif", ".tiff", ".heic", ".heif", ".psd", ".jfif"})


@dataclass(frozen=True)
class Caption:
    """One caption. `text` is what is trained on; `problem` and `fix` tell why it cannot be, `doubt` what is lost."""

    text: str = ""
    problem: str = ""
    fix: str = ""
    doubt: str = ""


def parse(data: bytes) -> Caption:
    """The caption in the bytes of a file."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Caption(
            problem="its caption is not UTF-8 but UTF-16", fix="save it as UTF-8 (Notepad calls UTF-16 Unicode)"
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _not_utf8(data)
    if not text.strip():
        return Caption(problem="its caption is empty", fix="write its words into the first line, or remove the picture")
    if text.startswith("\ufeff"):
        return Caption(
            problem="its caption begins with a byte order mark, which would become part of the trigger word",
            fix="save it as UTF-8 without BOM",
        )
    first, *others = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not first.strip():
        return Caption(
            problem="the first line of its caption is empty, and no other line is read",
            fix="begin it in the first line",
        )
    if "\0" in first:
        return Caption(problem="its caption holds NUL characters", fix="write it anew as plain text")
    lost = sum(bool(line.strip()) for line in others)
    doubt = f"only the first line of its caption is read ({lost} more are not)" if lost else ""
    return Caption(text=first.strip(), doubt=doubt)


def read(picture: Path) -> Caption:
    """The caption beside a picture."""
    file = picture.with_suffix(CAPTION_EXTENSION)
    try:
        return parse(file.read_bytes())
    except FileNotFoundError:
        return _missing(picture)
    except OSError as error:
        return Caption(
            problem=f"its caption cannot be read ({error.strerror or error})", fix=f"make {file.name} a readable file"
        )


def suffix_problem(picture: Path) -> str:
    """Why sd-scripts would pass over a file that has a picture's suffix; empty when it sees it."""
    suffix = picture.suffix
    if os.name == "nt" or suffix in _SEEN or suffix in {s.upper() for s in _SEEN}:
        return ""
    return f"sd-scripts does not see it: it looks for {suffix.lower()} and {suffix.upper()} only"


def _not_utf8(data: bytes) -> Caption:
    japanese = likely_encoding(data) == "cp932"
    probably = " but probably cp932 (Shift_JIS), which Japanese Windows calls ANSI" if japanese else ""
    return Caption(
        problem=f"its caption is not UTF-8{probably}", fix="open it in an editor and save it as UTF-8 without BOM"
    )


def _missing(picture: Path) -> Caption:
    wanted = picture.with_suffix(CAPTION_EXTENSION).name
    beside = [p for p in (picture.with_suffix(e) for e in (".caption", ".TXT", ".Txt")) if p.is_file()]
    if beside:
        return Caption(problem=f"has no caption {wanted}", fix=f"rename {beside[0].name} to {wanted}")
    other = face_caption(picture)
    if other is not None:
        return Caption(
            problem=f"has no caption {wanted}, and sd-scripts would take {other.name} for it",
            fix=f"write {wanted}",
        )
    return Caption(problem=f"has no caption {wanted}", fix=f"write {wanted}, or remove the picture")
