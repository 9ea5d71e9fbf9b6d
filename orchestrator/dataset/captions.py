"""The caption beside a picture."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import DatasetError
from orchestrator.files import storage_error

#: Where captions are looked for when pictures are imported: ours, and what sd-scripts reads unless it is told.
CAPTION_SUFFIXES = (".txt", ".caption")


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
        return "", "not UTF-8", ""
    notes = []
    if text.startswith("\ufeff"):
        text = text.lstrip("\ufeff")
        notes.append("byte order mark taken off")
    lines = _lines(text)
    if not lines:
        return "", "empty", ""
    if len(lines) > 1:
        notes.append(f"{len(lines)} lines joined to one")
    return ", ".join(lines), "", "; ".join(notes)


def caption_elsewhere(picture: Path) -> str:
    """A caption of `picture` that is not read here though sd-scripts may read it, as `rule/file name`; else empty.

    `suffix`: it ends in .caption. `shortened`: sd-scripts also tries the name without its last four parts between
    underscores (a_b_c_d_e → a), which its face detection once wrote. Where there is a .txt of the picture's own, that
    one counts everywhere.
    """
    if picture.with_suffix(".txt").exists():
        return ""
    other = picture.with_suffix(".caption")
    if other.is_file():
        return f"suffix/{other.name}"
    parts = picture.stem.split("_")
    if len(parts) >= 5:
        short = picture.with_name(f"{'_'.join(parts[:-4])}.txt")
        if short.is_file():
            return f"shortened/{short.name}"
    return ""


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
