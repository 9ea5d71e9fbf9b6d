"""What was foretold of a version, and what its grids then showed: one JSON file for each version.

The two parts do not wait for each other. A check of pictures that were changed after the training lets expect something
else of the next one; what was seen of the LoRA that was trained stays, with what was expected of that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.dataset.foretell import CARRIED, Compared, Foretold
from orchestrator.files import read_json, write_json

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What is kept of one version: what its pictures let expect now, and what was seen of what was trained."""

    foretold: tuple[Foretold, ...] = ()
    compared: tuple[Compared, ...] = ()


def keep(path: Path, foretold: Sequence[Foretold]) -> None:
    """Keep what is expected. Raises `StorageError`."""
    _write(path, foretold=[_rounded(asdict(one)) for one in foretold])


def keep_seen(path: Path, compared: Sequence[Compared]) -> None:
    """Keep what was seen beside what was expected of it. Raises `StorageError`."""
    _write(path, compared=[_rounded(asdict(one)) for one in compared])


def read(path: Path) -> Record | None:
    """What is kept; None where nothing is, or the file was damaged."""
    value = read_json(path)
    try:
        return Record(
            tuple(_told(one) for one in value["foretold"]),
            tuple(Compared(**one | {"foretold": _told(one["foretold"])}) for one in value["compared"]),
        )
    except (TypeError, KeyError):
        return None


def _write(path: Path, **parts: list[Any]) -> None:
    before = read_json(path)
    kept = before if isinstance(before, Mapping) else {}
    value = {
        "format": FORMAT,
        "carried": CARRIED,
        **{name: parts.get(name, kept.get(name, [])) for name in ("foretold", "compared")},
    }
    if value != before:
        write_json(path, value)


def _told(value: dict[str, Any]) -> Foretold:
    colour = value.get("colour")
    return Foretold(**value | {"colour": None if colour is None else (colour[0], colour[1], colour[2])})


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
