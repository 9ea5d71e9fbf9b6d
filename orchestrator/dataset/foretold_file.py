"""What was foretold of a version, and what its grids then showed: one JSON file for each version.

A check of pictures that were changed after the training lets expect something else of the next one. So what the dataset
as it was built lets expect is kept by its fingerprint, and a grid is held against that of the dataset its LoRA learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.dataset.foretell import CARRIED, Compared, Foretold
from orchestrator.files import read_json, write_json

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What is kept of one version: what its pictures let expect as they were checked last, what each dataset built of
    them lets expect (by its fingerprint), and what was seen of the one that was trained.
    """

    foretold: tuple[Foretold, ...] = ()
    built: Mapping[str, tuple[Foretold, ...]] = field(default_factory=dict)
    compared: tuple[Compared, ...] = ()


def keep(path: Path, foretold: Sequence[Foretold]) -> None:
    """Keep what is expected. Raises `StorageError`."""
    _write(path, foretold=_plain(foretold))


def keep_built(path: Path, fingerprint: str, foretold: Sequence[Foretold]) -> None:
    """Keep what a built dataset lets expect. Raises `StorageError`."""
    before = read_json(path)
    known = before.get("built") if isinstance(before, Mapping) else None
    _write(path, built={**(known if isinstance(known, Mapping) else {}), fingerprint: _plain(foretold)})


def keep_seen(path: Path, compared: Sequence[Compared]) -> None:
    """Keep what was seen beside what was expected of it. Raises `StorageError`."""
    _write(path, compared=_plain(compared))


def read(path: Path) -> Record | None:
    """What is kept; None where nothing is, or the file was damaged."""
    value = read_json(path)
    try:
        return Record(
            tuple(_told(one) for one in value["foretold"]),
            {name: tuple(_told(one) for one in told) for name, told in value.get("built", {}).items()},
            tuple(Compared(**one | {"foretold": _told(one["foretold"])}) for one in value["compared"]),
        )
    except (TypeError, KeyError, AttributeError):
        return None


def differs(ones: Sequence[Foretold], others: Sequence[Foretold]) -> bool:
    """Whether two sets of expectations differ by more than the file's rounding."""
    return bool(others) and _plain(ones) != _plain(others)


def _plain(values: Sequence[Foretold] | Sequence[Compared]) -> list[Any]:
    return [_rounded(asdict(one)) for one in values]


def _write(path: Path, **parts: Any) -> None:
    before = read_json(path)
    kept = before if isinstance(before, Mapping) else {}
    value = {
        "format": FORMAT,
        "carried": CARRIED,
        "foretold": kept.get("foretold", []),
        "built": kept.get("built", {}),
        "compared": kept.get("compared", []),
        **parts,
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
