"""Varied pictures that show somebody else are set aside: each is held against the picture it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.files import read_json, replace, storage_error, write_json
from orchestrator.pictures.keeping import MANIFEST
from orchestrator.vision import identity_distance, similarity
from orchestrator.vision.model import NO_FACE, Measurement
from orchestrator.vision.person import AUTHORS_MARK, own_spread

#: As a folder of its own, nothing in it is varied from or trained on. A person who disagrees moves a picture back.
REFUSED = "refused"


@dataclass(frozen=True)
class Refused:
    """A picture set aside. `likeness` to its source (0…1), None where there was no face to compare; `floor` what it
    should have been.
    """

    file: str
    sha256: str
    path: Path
    source: Path
    likeness: float | None
    floor: float
    why: str


def likeness_floor(wanted: float | Literal["own"], sources: Sequence[Measurement]) -> float:
    """The floor as a likeness (0…1): `wanted`, or what 95 % of the pairs of the sources reach; where those are too few,
    the mark of the embedding's authors for photographs.
    """
    if wanted != "own":
        return wanted
    return similarity(own_spread(sources) or AUTHORS_MARK)


def judge(
    pairs: Sequence[tuple[Measurement, Measurement]], floor: float
) -> list[tuple[Literal["held", "refused", "not measured"], float | None, str]]:
    """For each (source, result): what becomes of it, its likeness, and why. A face that cannot be compared because the
    source has none is not refused.
    """
    return [_judged(source, result, floor) for source, result in pairs]


def set_aside(folder: Path, found: Sequence[Refused]) -> None:
    """Move pictures into `refused/` with a note of why. Their places in the set stay as of deleted pictures, so the
    same set made again does not bring them back. Raises `StorageError`.
    """
    if not found:
        return
    place = folder / REFUSED
    notes = dict(noted(folder))
    try:
        place.mkdir(exist_ok=True)
        for one in found:
            notes[one.file] = asdict(one) | {"path": str(one.path), "source": str(one.source)}
            replace(folder / one.file, place / one.file)
    except OSError as error:
        raise storage_error(error, folder) from error
    write_json(place / MANIFEST, {"pictures": notes})


def noted(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """What was ever set aside of a set, by file name, whether or not somebody moved it back."""
    known = read_json(folder / REFUSED / MANIFEST)
    notes = known.get("pictures") if isinstance(known, dict) else None
    return (
        {str(file): note for file, note in notes.items() if isinstance(note, dict)} if isinstance(notes, dict) else {}
    )


def refuse_strangers(
    folder: Path,
    wanted: float | Literal["own"],
    pairs: Sequence[tuple[Path, Path]],
    cache: Path,
) -> tuple[list[Refused], list[str]]:
    """Hold each (source, result) of a set against the floor and set aside what is below; (those, notes for the user).

    A picture that was set aside once and moved back by hand is left where it is. Raises `StorageError`.
    """
    from orchestrator.vision import measure

    known = noted(folder)
    sources = list(dict.fromkeys(source for source, _ in pairs))
    by_path = dict(zip(sources, measure(sources, cache), strict=True))
    results = measure([result for _, result in pairs], cache)
    floor = likeness_floor(wanted, list(by_path.values()))
    refused: list[Refused] = []
    unknown: list[str] = []
    for (source, result), seen in zip(pairs, results, strict=True):
        state, likeness, why = judge([(by_path[source], seen)], floor)[0]
        if state == "not measured":
            unknown.append(why)
        elif state == "refused" and known.get(result.name, {}).get("sha256") != seen.sha256:
            refused.append(
                Refused(result.name, seen.sha256, folder / REFUSED / result.name, source, likeness, floor, why)
            )
    set_aside(folder, refused)
    notes = []
    if refused:
        notes.append(f"{len(refused)} of {len(pairs)} show somebody else (below likeness {floor:.2f}): set aside")
    if unknown:
        notes.append(f"{len(unknown)} of {len(pairs)} could not be compared with their source: {unknown[0]}")
    return refused, notes


def _judged(
    source: Measurement, result: Measurement, floor: float
) -> tuple[Literal["held", "refused", "not measured"], float | None, str]:
    if source.identity is None:
        return "not measured", None, f"its source: {source.missing}"
    if result.identity is None:
        if result.missing == NO_FACE:
            return "refused", None, "no face is left"
        return "not measured", None, result.missing
    if source.embedding_name != result.embedding_name:
        return "not measured", None, "measured with two different embeddings"
    likeness = similarity(identity_distance(source.identity, result.identity))
    if likeness >= floor:
        return "held", likeness, ""
    return "refused", likeness, f"likeness {likeness:.2f}, below {floor:.2f}"
