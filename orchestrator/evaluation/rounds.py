"""The final test: which pictures the rounds are made of, and what was observed on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.evaluation.identity import ALL_FRAMINGS, Anchors, set_baselines, without_round
from orchestrator.evaluation.judge import score
from orchestrator.evaluation.metrics import Sight, numbers
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.statistics import mean
from orchestrator.grid.cells import DeployedLora, MakeRecipe
from orchestrator.grid.prompts import baseline_prompt
from orchestrator.profile.model import Evaluation, Round
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.tagging.tags import FRAMINGS, TAG_NAMES
from orchestrator.vision.model import TOO_SMALL, Framing, Measurement

#: A tag must rise by at least this when the prompt asks for it, or it tells nothing about obedience.
LEAST_RISE = 0.05
FRAMING_WORDS: tuple[Framing, ...] = ("close-up", "upper body", "full body")
#: In a round in which more of the found faces than this cannot be recognised, identity is not measured.
MOST_UNRECOGNISED = 0.5


@dataclass(frozen=True)
class Place:
    """One picture to draw: a cell, a round and a seed."""

    cell: CellId
    round: str
    seed: int
    recipe: Recipe


@dataclass(frozen=True)
class Shown:
    """What became of a place: the picture and everything measured on it; None = not measured."""

    key: str = ""
    path: Path | None = None
    measurement: Measurement | None = None
    tags: Mapping[str, float] | None = None
    error: str = ""


@dataclass(frozen=True)
class Observed:
    """All observations, the anchors of identity, and sentences on what could not be measured."""

    observations: tuple[Observation, ...]
    anchors: Anchors
    not_measured: tuple[str, ...]


def plan_rounds(
    evaluation: Evaluation,
    seeds: Sequence[int],
    loras: Sequence[DeployedLora],
    make_recipe: MakeRecipe,
    *,
    trigger: str = "",
    fill: Callable[[str], str] = str,
) -> list[Place]:
    """Every picture of the rounds: the baseline on all seeds first, then epoch, weight, round, seed.

    The baseline is drawn without LoRA and without the trigger word. A weight of 0 in the plan is the baseline and is
    not drawn twice. Raises `InputError` when there is nothing to test or an epoch was not deployed.
    """
    by_epoch = {deployed.lora.epoch: deployed for deployed in loras}
    epochs = evaluation.epochs or tuple(sorted(by_epoch))
    _something_to_test(evaluation, seeds, epochs, by_epoch)
    prompts = {round_.name: fill(round_.prompt) for round_ in evaluation.rounds}
    bare = {name: baseline_prompt(prompt, trigger) for name, prompt in prompts.items()}
    places = [
        Place(BASELINE, name, seed, make_recipe(prompt, seed, ())) for name, prompt in bare.items() for seed in seeds
    ]
    for epoch in epochs:
        for weight in evaluation.weights:
            if weight == 0:
                continue
            deployed = by_epoch[epoch]
            use = LoraUse(deployed.stem, deployed.lora.sha256, deployed.shown_hash, weight)
            places += [
                Place(CellId(epoch, weight), name, seed, make_recipe(prompt, seed, (use,)))
                for name, prompt in prompts.items()
                for seed in seeds
            ]
    return places


def observe(
    places: Sequence[Place],
    shown: Sequence[Shown],
    rounds: Sequence[Round],
    dataset: Anchors,
    known: frozenset[str] = frozenset(),
    seen_from: float = 0.5,
    training: Sequence[Measurement] = (),
) -> Observed:
    """The observations of all places, in their order.

    `dataset`: the anchors from the dataset alone (`find_centres`); `known`: tag names the model knows; `seen_from`:
    from which score a picture obeys; `training`: the pictures the LoRA was trained on.
    """
    by_name = {round_.name: round_ for round_ in rounds}
    at = list(zip(places, shown, strict=True))
    framings = {name: dataset.framing(_framing(name, at)) for name in by_name}
    distances = [_distance(picture, dataset, framings[place.round]) for place, picture in at]
    baseline: dict[str, tuple[str, list[float]]] = {name: (framing, []) for name, framing in framings.items()}
    for (place, _), distance in zip(at, distances, strict=True):
        if place.cell.is_baseline and distance is not None:
            baseline[place.round][1].append(distance)
    anchors = _without_unrecognised(set_baselines(dataset, baseline), at)
    deaf = _deaf_rounds(at, rounds, known)
    alike = _siblings(at)
    observations = []
    for (place, picture), distance in zip(at, distances, strict=True):
        round_ = by_name[place.round]
        seen = picture.measurement
        obeyed = None
        if not picture.error and place.round not in deaf:
            obeyed = score(round_.expects, picture.tags, known, seen)
        looked = seen is not None and seen.looked
        face = seen.face if seen is not None and looked else None
        identity = anchors.identity(place.round, distance) if distance is not None else None
        sight = Sight(seen, identity, obeyed, framing_in(round_.prompt), alike[place.cell, place.round](seen), training)
        observations.append(
            Observation(
                cell=place.cell,
                round=place.round,
                seed=place.seed,
                key=picture.key,
                path=str(picture.path) if picture.path else "",
                identity_distance=distance,
                identity=identity,
                roll_deg=face.roll_deg if face else None,
                obedience=obeyed,
                obeys=None if obeyed is None else obeyed >= (0.5 if _by_framing(round_, seen) else seen_from),
                face_found=(face is not None) if looked else None,
                sharpness=seen.sharpness if seen is not None and seen.readable else None,
                metrics=numbers(sight),
                missing=seen.missing if seen is not None else "",
                error=picture.error,
            )
        )
    said = [_sentence(name, why) for name, why in anchors.not_measured.items()]
    said += [f"Obedience was not measured in {name}: {why}." for name, why in deaf.items()]
    return Observed(tuple(observations), anchors, tuple(said))


def framing_in(prompt: str) -> Framing | None:
    """The framing a prompt asks for in words; None when it names none, or several."""
    words = prompt.lower().replace("closeup", "close-up").replace("close up", "close-up")
    named = [framing for framing in FRAMING_WORDS if framing in words]
    return named[0] if len(named) == 1 else None


def _siblings(
    at: Sequence[tuple[Place, Shown]],
) -> dict[tuple[CellId, str], Callable[[Measurement | None], list[Measurement]]]:
    """For each cell and round: gives the other seeds' pictures of a picture."""
    found: dict[tuple[CellId, str], list[Measurement]] = {}
    for place, picture in at:
        group = found.setdefault((place.cell, place.round), [])
        if picture.measurement is not None and picture.measurement.readable:
            group.append(picture.measurement)
    return {
        key: lambda seen, group=group: [other for other in group if other is not seen]  # type: ignore[misc]
        for key, group in found.items()
    }


def _something_to_test(
    evaluation: Evaluation, seeds: Sequence[int], epochs: Sequence[int], by_epoch: Mapping[int, DeployedLora]
) -> None:
    if not evaluation.rounds:
        raise InputError(
            "The profile has no evaluation rounds.", fix="Add at least one [[evaluation.rounds]] with a pose."
        )
    if not seeds:
        raise InputError(
            "There are no seeds to evaluate on.",
            cause="No candidate obeyed the poses without LoRA.",
            fix="Raise scouting.candidates, or make the prompts of the rounds stronger.",
        )
    if not epochs:
        raise InputError("There is no LoRA file to evaluate.", fix="Train and deploy first.")
    if missing := [str(epoch) for epoch in epochs if epoch not in by_epoch]:
        raise InputError(
            f"There is no LoRA file of epoch {', '.join(missing)} to evaluate.",
            cause=f"Deployed are: {', '.join(str(epoch) for epoch in sorted(by_epoch)) or 'none'}.",
            fix="Take the epoch out of evaluation.epochs, or train and deploy it first.",
        )


def _framing(round_name: str, at: Sequence[tuple[Place, Shown]]) -> str | None:
    """The framing most of a round's faces have; one for all cells, so that all are compared with the same centre."""
    found = Counter(
        picture.measurement.face.framing
        for place, picture in at
        if place.round == round_name and picture.measurement is not None and picture.measurement.face is not None
    )
    return found.most_common(1)[0][0] if found else None


def _distance(picture: Shown, dataset: Anchors, framing: str) -> float | None:
    seen = picture.measurement
    if seen is None or seen.identity is None or ALL_FRAMINGS not in dataset.centres:
        return None
    if seen.embedding_name != dataset.embedding_name:
        # Two embeddings live in two spaces; a distance between them means nothing.
        return None
    return dataset.distance(seen.identity, framing)


def _without_unrecognised(anchors: Anchors, at: Sequence[tuple[Place, Shown]]) -> Anchors:
    """The anchors without the rounds in which nobody can tell of most faces who it is, with the reason."""
    for name in tuple(anchors.rounds):
        faces = [
            picture.measurement
            for place, picture in at
            if place.round == name and picture.measurement is not None and picture.measurement.face is not None
        ]
        lost = [face.missing for face in faces if face.identity is None]
        if len(lost) > MOST_UNRECOGNISED * len(faces):
            anchors = without_round(anchors, name, _why_unrecognised(lost, len(faces)))
    return anchors


def _why_unrecognised(lost: Sequence[str], faces: int) -> str:
    """`lost`: why each of the lost faces has no identity."""
    small = lost.count(TOO_SMALL)
    if small == len(lost):
        return f"{small} of its {faces} faces are too small to be recognised"
    why = next((reason for reason in lost if reason and reason != TOO_SMALL), "").rstrip(".")
    besides = f", {small} more are too small" if small else ""
    return f"{len(lost) - small} of its {faces} faces could not be compared{f' ({why})' if why else ''}{besides}"


def _deaf_rounds(at: Sequence[tuple[Place, Shown]], rounds: Sequence[Round], known: frozenset[str]) -> dict[str, str]:
    """Rounds whose tags do not rise when the prompt asks for them, judged without LoRA, with the reason.

    The other rounds' baseline pictures of the same seeds are the comparison: nobody asked for this pose there.
    """
    baseline = {
        (place.round, place.seed): picture
        for place, picture in at
        if place.cell.is_baseline and picture.tags is not None
    }
    deaf: dict[str, str] = {}
    for round_ in rounds:
        if round_.expects in FRAMINGS:
            continue
        if known and not known.intersection(TAG_NAMES[round_.expects]):
            deaf[round_.name] = f"the tagger knows none of the tags for {round_.expects!r}"
            continue
        others = {other.name for other in rounds if other.expects != round_.expects}
        rises: list[float] = []
        for (name, seed), picture in baseline.items():
            asked = score(round_.expects, picture.tags, known, None) if name == round_.name else None
            unasked = [
                found
                for other in others
                if (shown := baseline.get((other, seed))) is not None
                and (found := score(round_.expects, shown.tags, known, None)) is not None
            ]
            if asked is not None and unasked:
                rises.append(asked - mean(unasked))
        if rises and mean(rises) < LEAST_RISE:
            deaf[round_.name] = (
                f"without LoRA the tag for {round_.expects!r} rises by only {mean(rises):.2f} when the prompt asks "
                "for it, so it tells nothing about obedience"
            )
    return deaf


def _by_framing(round_: Round, seen: Measurement | None) -> bool:
    return round_.expects in FRAMINGS and seen is not None and seen.looked


def _sentence(round_name: str, why: str) -> str:
    place = f" in {round_name}" if round_name else ""
    return f"Identity was not measured{place}: {why}."
