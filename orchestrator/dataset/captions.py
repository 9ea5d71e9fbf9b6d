"""The caption beside a picture."""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestrator.errors import DatasetError
from orchestrator.files import storage_error

#: Where captions are looked for when pictures are imported: ours, and what sd-scripts reads unless it is told.
CAPTION_SUFFIXES = (".txt", ".caption")
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+")


def decode(path: Path, encoding: str = "utf-8") -> str:
    """A caption file's text without a byte order mark.

    Raises ValueError when it is not in `encoding`, FileNotFoundError, `StorageError`.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"not {'UTF-8' if encoding == 'utf-8' else encoding}") from error


def one_line(text: str) -> str:
    """A caption's lines joined by commas: sd-scripts reads the first only."""
    return ", ".join(_lines(text))


def caption_beside(picture: Path) -> tuple[str, str, str] | None:
    """(caption, problem, note) of the .txt beside a picture; None when there is no such file.

    sd-scripts reads the first line only, keeps a byte order mark as part of the trigger word, and stops at a file that
    is not UTF-8 or empty (observed). So lines are joined by commas and the mark is taken off, which the note says; the
    rest is a problem.
    """
    path = picture.with_suffix(".txt")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        probably = likely_encoding(data)
        return "", "not UTF-8" + (f" but probably {probably}" if probably else ""), ""
    if "\0" in text:
        return "", "no plain text (it holds NUL characters)", ""
    notes = []
    if text.startswith("\ufeff"):
        text = text.lstrip("\ufeff")
        notes.append("byte order mark taken off")
    lines = _lines(text)
    if not lines:
        return "", "empty", ""
    if len(lines) > 1:
        notes.append(f"{len(lines)} lines joined to one")
    elif text.split("\n")[0].strip().strip(",") == "":
        notes.append("empty lines above it left out")
    return ", ".join(lines), "", "; ".join(notes)


def likely_encoding(data: bytes) -> str:
    """How bytes that are not UTF-8 were probably saved, as Python calls it: utf-16, or cp932 (Shift_JIS, which Japanese
    Windows calls ANSI). Empty where the bytes do not tell: any are some text in cp1252.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        return "cp932" if any(_is_japanese(character) for character in data.decode("cp932")) else ""
    except UnicodeDecodeError:
        return ""


def encoding_advice(path: Path) -> str:
    """What to do about a caption file that is not UTF-8, with what it says in the encoding it is probably in."""
    data = path.read_bytes()
    for encoding in filter(None, (likely_encoding(data), "gb18030", "cp1252")):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return f"save it as UTF-8, or import with --caption-encoding {encoding} if this is right: {text.strip()[:60]}"
    return "save it as UTF-8"


def _is_japanese(character: str) -> bool:
    return "\u3040" <= character <= "\u30ff" or "\u4e00" <= character <= "\u9fff" or "\uff66" <= character <= "\uff9f"


def caption_elsewhere(picture: Path) -> str:
    """A caption of `picture` that is not read here though sd-scripts may read it, as `rule/file name`; else empty.

    `suffix`: it ends in .caption or in capitals. `shortened`: the one of `face_caption`. Where there is a .txt of the
    picture's own, that one counts everywhere.
    """
    stem = str(picture.with_suffix(""))
    # Not by Path: three looks for each of a thousand pictures take a tenth of a second so.
    if os.path.exists(f"{stem}.txt"):  # noqa: PTH110
        return ""
    for suffix in (".caption", ".TXT", ".Txt"):
        if os.path.isfile(f"{stem}{suffix}"):  # noqa: PTH113
            return f"suffix/{Path(stem + suffix).name}"
    short = face_caption(picture)
    return "" if short is None else f"shortened/{short.name}"


def face_caption(picture: Path) -> Path | None:
    """The caption of another name that sd-scripts falls back on (a_b_c_d_e → a): it takes four parts behind `_` for a
    face's place, which its face detection once wrote. It splits the whole path, so that underscores of the folders
    count too.
    """
    parts = str(picture.with_suffix("")).split("_")
    if len(parts) < 5:
        return None
    file = Path("_".join(parts[:-4]) + ".txt")
    return file if file.is_file() else None


def tokens_at_least(caption: str) -> int:
    """How many tokens CLIP makes of a caption at the least: one for each word, number digit and mark.

    CLIP's own pattern splits so before it splits words further (`simple_tokenizer.py` of openai/CLIP), hence a lower
    bound that needs no vocabulary.
    """
    return len(_PIECES.findall(caption.lower()))


def _lines(text: str) -> list[str]:
    lines = (line.strip().strip(",").strip() for line in text.splitlines())
    return [line for line in lines if line]


def refuse(picture: Path, problem: str) -> DatasetError:
    """The error for a caption nobody can train with."""
    return DatasetError(
        f"The caption {picture.with_suffix('.txt')} is {problem}.",
        cause="sd-scripts stops at such a file in the middle of its start.",
        fix="Save it as UTF-8 with a caption in it, or delete it: the group's caption is then used.",
    )
