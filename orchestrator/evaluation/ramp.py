"""What a drawn ramp shows: per setting the hit rate, per source picture where its person gets lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.evaluation.evaluate import Eyes
from orchestrator.evaluation.hits import HitRate, hit_rate, look_for
from orchestrator.evaluation.identity_loss import Kept, Loss, how_told, kept, where_lost
from orchestrator.evaluation.scout import Look
from orchestrator.files import read_json, write_json
from orchestrator.pictures.keeping import file_name
from orchestrator.pictures.ramp import DrawnRamp
from orchestrator.profile.model import Expectation
from orchestrator.vision.person import own_spread

#: Beside the manifest of a ramp's picture set.
RESULT = "ramp.json"
OnLooked = Callable[[Path], None]


@dataclass(frozen=True)
class Shot:
    """One picture of a ramp. `hit` None = not judged; `person` says whether it is still its source's person."""

    file: str
    setting: int
    source: int | None
    seed: int
    error: str = ""
    hit: bool | None = None
    score: float | None = None
    person: Kept | None = None


@dataclass(frozen=True)
class SettingResult:
    """One setting: what was set, and how many of its pictures show what was expected."""

    label: str
    prompt: str
    loras: tuple[tuple[str, float], ...]
    denoise: float | None
    values: tuple[tuple[str, float], ...]
    drawn: int
    failed: int
    hits: HitRate | None


@dataclass(frozen=True)
class RampResult:
    """A ramp as it was drawn and looked at. `shots` are in the order of the set's files."""

    name: str
    folder: str
    simulated: bool
    expects: str
    seeds: tuple[int, ...]
    sources: tuple[str, ...]
    settings: tuple[SettingResult, ...]
    shots: tuple[Shot, ...]
    #: How far apart pictures of the sources' person lie; None = not known, or not asked.
    own_spread: float | None
    losses: tuple[Loss, ...]
    #: What could not be measured, and other sentences for a person.
    notes: tuple[str, ...]

    @property
    def failed(self) -> int:
        """How many pictures could not be drawn."""
        return sum(setting.failed for setting in self.settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        values = asdict(self)
        for setting, plain in zip(self.settings, values["settings"], strict=True):
            if setting.hits is not None:
                plain["hits"]["rate"] = setting.hits.rate
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RampResult:
        """A result from `to_dict`'s values. Raises KeyError or TypeError for anything else."""

        def setting(one: Mapping[str, Any]) -> SettingResult:
            hits = {k: v for k, v in (one["hits"] or {}).items() if k != "rate"}
            pairs = {key: tuple((name, value) for name, value in one[key]) for key in ("loras", "values")}
            return SettingResult(**{**one, **pairs, "hits": HitRate(**hits) if hits else None})

        def shot(one: Mapping[str, Any]) -> Shot:
            return Shot(**{**one, "person": Kept(**one["person"]) if one["person"] else None})

        return cls(
            **{
                **data,
                "seeds": tuple(data["seeds"]),
                "sources": tuple(data["sources"]),
                "settings": tuple(setting(one) for one in data["settings"]),
                "shots": tuple(shot(one) for one in data["shots"]),
                "losses": tuple(Loss(**one) for one in data["losses"]),
                "notes": tuple(data["notes"]),
            }
        )


def look_at_ramp(
    drawn: DrawnRamp,
    eyes: Eyes,
    *,
    expects: Expectation | None,
    same_person: Sequence[Path] = (),
    simulated: bool = False,
    on_looked: OnLooked | None = None,
) -> RampResult:
    """Judge the pictures of a ramp, and keep the result beside its set's manifest.

    `expects` None = hits are not counted. `same_person`: further pictures of the sources' person, for when there are
    too few sources to say how far two pictures of one person lie apart. Faces are compared only where denoise is
    ramped. Raises what the tagger's server raises, and `StorageError`.
    """
    pictures = drawn.pictures
    there = [index for index, picture in enumerate(pictures) if not picture.error]
    paths = [pictures[index].path for index in there]
    looks: dict[int, Look] = {}
    notes = list(drawn.notes)
    if expects is not None:
        looks = dict(zip(there, look_for(expects, paths, eyes, on_looked), strict=True))
        whys = list(dict.fromkeys(look.why for look in looks.values() if look.obeys is None))
        notes += [f"Hits were not measured: {why}." for why in (w.rstrip(".") for w in whys)]
    own, persons = _persons(drawn, there, eyes, same_person) if drawn.ramp.ramps_denoise else (None, {})
    if any(one.distance is not None for one in persons.values()):
        notes.append(how_told(own))
    shots = tuple(
        Shot(
            file_name(index),
            setting,
            source,
            seed,
            pictures[index].error,
            looks[index].obeys if index in looks else None,
            looks[index].score if index in looks else None,
            persons.get(index),
        )
        for index, (setting, source, seed) in enumerate(drawn.ramp.places)
    )
    losses = _losses(drawn, shots)
    settings = tuple(
        _setting(drawn, number, shots, counted=expects is not None) for number in range(len(drawn.ramp.settings))
    )
    result = RampResult(
        name=drawn.ramp.name,
        folder=str(drawn.folder),
        simulated=simulated,
        expects=expects or "",
        seeds=drawn.ramp.seeds,
        sources=tuple(source.origin for source in drawn.ramp.sources),
        settings=settings,
        shots=shots,
        own_spread=own,
        losses=losses,
        notes=tuple(notes),
    )
    write_json(drawn.folder / RESULT, result.to_dict())
    return result


def grouped(losses: Sequence[Loss]) -> list[tuple[str, str]]:
    """The sentences of the losses, each once, with the sources it holds for."""
    sources: dict[str, list[str]] = {}
    for loss in losses:
        sources.setdefault(loss.sentence, []).append(loss.source)
    return [(_together(names), sentence) for sentence, names in sources.items()]


def read_ramp(folder: Path) -> RampResult | None:
    """The result kept in a picture set's folder; None where it is no ramp, or the record is damaged."""
    data = read_json(folder / RESULT)
    try:
        return RampResult.from_dict(data) if isinstance(data, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def _persons(
    drawn: DrawnRamp, there: Sequence[int], eyes: Eyes, same_person: Sequence[Path]
) -> tuple[float | None, dict[int, Kept]]:
    sources = eyes.measure([source.path for source in drawn.ramp.sources], None)
    results = eyes.measure([drawn.pictures[index].path for index in there], None)
    alone = [drawn.alone[index] for index in there]
    bare = iter(eyes.measure([picture.path for picture in alone if not picture.error], None))
    own = own_spread([*sources, *(eyes.measure(list(same_person), None) if same_person else [])])
    places = drawn.ramp.places
    found = {}
    for index, seen, picture in zip(there, results, alone, strict=True):
        start = places[index][1]
        without = None if picture.error else next(bare)
        if start is not None:
            found[index] = kept(sources[start], seen, without, own)
    return own, found


def _losses(drawn: DrawnRamp, shots: Sequence[Shot]) -> tuple[Loss, ...]:
    """One for each source and each combination of what else is ramped."""
    if not drawn.ramp.ramps_denoise:
        return ()
    ways: dict[str, dict[float, list[Kept]]] = {}
    for shot in shots:
        setting = drawn.ramp.settings[shot.setting]
        if shot.source is None or setting.denoise is None:
            continue
        others = ", ".join(f"{name} {value:g}" for name, value in setting.values if name != "denoise")
        way = drawn.ramp.sources[shot.source].origin + (f" ({others})" if others else "")
        found = ways.setdefault(way, {}).setdefault(setting.denoise, [])
        if shot.person is not None:
            found.append(shot.person)
    return tuple(where_lost(way, by_value) for way, by_value in ways.items())


def _setting(drawn: DrawnRamp, number: int, shots: Sequence[Shot], *, counted: bool) -> SettingResult:
    setting = drawn.ramp.settings[number]
    mine = [shot for shot in shots if shot.setting == number]
    failed = sum(bool(shot.error) for shot in mine)
    return SettingResult(
        label=setting.label,
        prompt=setting.prompt,
        loras=tuple((lora.name, lora.weight) for lora in setting.loras),
        denoise=setting.denoise,
        values=setting.values,
        drawn=len(mine) - failed,
        failed=failed,
        hits=hit_rate([shot.hit for shot in mine]) if counted else None,
    )


def _together(names: Sequence[str]) -> str:
    """`close-up/0001.png, 0002.png`: the folder once where all lie in one."""
    folders = {name.rpartition("/")[0] for name in names}
    return ", ".join([names[0], *(name.rpartition("/")[2] if len(folders) == 1 else name for name in names[1:])])
