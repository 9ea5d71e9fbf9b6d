"""The hunt, without LoRA, for seeds that obey the poses at all.

Some seeds never obey: their composition leaves no room for a raised hand, LoRA or not. A LoRA judged on such a seed is
judged for the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.distributions import wilson
from orchestrator.errors import InputError
from orchestrator.evaluation.statistics import mean
from orchestrator.grid.prompts import baseline_prompt
from orchestrator.profile.model import Round, Scouting

if TYPE_CHECKING:
    from orchestrator.render.engine import Picture
    from orchestrator.render.recipe import LoraUse, Recipe

    MakeRecipe = Callable[[str, int, tuple[LoraUse, ...]], Recipe]
    OnPicture = Callable[[Picture], None]


class Draws(Protocol):
    """What draws recipes; `orchestrator.render.engine.Renderer` does."""

    def render(self, recipes: Sequence[Recipe], on_picture: OnPicture | None = None) -> list[Picture]:
        """The pictures, in the recipes' order; a failed one carries its error."""


@dataclass(frozen=True)
class Look:
    """What was seen on one picture. `obeys` None = not measured (no judge, or no picture)."""

    obeys: bool | None
    score: float | None = None
    why: str = ""


#: Looks at pictures: the pictures with the round each belongs to → one look each, in that order.
LookAt = Callable[[Sequence[tuple["Picture", Round]]], Sequence[Look]]


@dataclass(frozen=True)
class SeedScouted:
    """One candidate.

    `obeyed` and `failed` name rounds; `score` is the mean over the rounds measured (None = none was).
    """

    seed: int
    kept: bool
    obeyed: tuple[str, ...]
    failed: tuple[str, ...]
    not_measured: tuple[str, ...]
    score: float | None
    reason: str
    #: Round → the key of its picture in the cache; a round that was not drawn is not there.
    pictures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RoundRate:
    """How many candidates obeyed one round, with Wilson's interval of the rate."""

    round: str
    obeyed: int
    measured: int
    low: float
    high: float


@dataclass(frozen=True)
class ScoutResult:
    """The seeds to use, and why these.

    `measured` is False when there was no judge: then the seeds are merely the first ones.
    """

    seeds: tuple[int, ...]
    asked: int
    measured: bool
    rates: tuple[RoundRate, ...]
    candidates: tuple[SeedScouted, ...]
    sentences: tuple[str, ...]
    #: Further seeds that obey, which the rounds do not use: fresh ones to confirm a winner on.
    reserve: tuple[int, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether as many seeds were found as asked for."""
        return len(self.seeds) >= self.asked

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScoutResult:
        """A result from `to_dict`'s values. Raises KeyError or TypeError for anything else."""
        candidates = tuple(
            SeedScouted(**{**c, **{name: tuple(c[name]) for name in ("obeyed", "failed", "not_measured")}})
            for c in data["candidates"]
        )
        return cls(
            seeds=tuple(data["seeds"]),
            asked=data["asked"],
            measured=data["measured"],
            rates=tuple(RoundRate(**rate) for rate in data["rates"]),
            candidates=candidates,
            sentences=tuple(data["sentences"]),
            reserve=tuple(data.get("reserve", ())),
        )


def scout(
    rounds: Sequence[Round],
    plan: Scouting,
    make_recipe: MakeRecipe,
    renderer: Draws,
    look_at: LookAt,
    *,
    trigger: str = "",
    fill: Callable[[str], str] = str,
    on_picture: OnPicture | None = None,
) -> ScoutResult:
    """Draw every candidate seed for every round without LoRA and trigger word, look, and keep the seeds that obey.

    `fill` puts `{trigger}` and its like into a prompt, `trigger` is the word that is taken out again. Candidates are
    `plan.candidates` seeds from `plan.first_seed` upwards.
    """
    seeds = [plan.first_seed + i for i in range(plan.candidates)]
    places = [(round_, seed) for round_ in rounds for seed in seeds]
    recipes = [make_recipe(baseline_prompt(fill(round_.prompt), trigger), seed, ()) for round_, seed in places]
    pictures = renderer.render(recipes, on_picture)
    drawn = [(picture, round_) for picture, (round_, _) in zip(pictures, places, strict=True) if not picture.error]
    looks = iter(look_at(drawn))
    looked: dict[tuple[str, int], Look] = {}
    for picture, (round_, seed) in zip(pictures, places, strict=True):
        looked[round_.name, seed] = Look(None, why=picture.error) if picture.error else next(looks)
    keys: dict[int, dict[str, str]] = {seed: {} for seed in seeds}
    for picture, (round_, seed) in zip(pictures, places, strict=True):
        if not picture.error:
            keys[seed][round_.name] = picture.key
    result = choose(seeds, [round_.name for round_ in rounds], looked, plan.keep)
    return replace(result, candidates=tuple(replace(each, pictures=keys[each.seed]) for each in result.candidates))


def by_hand(result: ScoutResult, seeds: Sequence[int]) -> ScoutResult:
    """The same scouting with the seeds a person chose. Raises `InputError` for seeds that were not scouted."""
    there = {each.seed: each for each in result.candidates}
    wanted = tuple(sorted(dict.fromkeys(seeds)))
    if unknown := [str(seed) for seed in wanted if seed not in there]:
        raise InputError(
            f"Not scouted: {', '.join(unknown)}.", fix=f"Scouted are {min(there)} to {max(there)}." if there else ""
        )
    if not wanted:
        raise InputError("No seed was chosen.", fix="Name at least one.")
    reserve = tuple(sorted({*result.seeds, *result.reserve} - {*wanted}))
    candidates = tuple(
        replace(each, kept=each.seed in wanted, reason="chosen by hand" if each.seed in wanted else each.reason)
        for each in result.candidates
    )
    sentence = f"{len(wanted)} of {len(there)} seeds were chosen by hand."
    return replace(result, seeds=wanted, candidates=candidates, reserve=reserve, sentences=(sentence,))


def choose(
    seeds: Sequence[int], rounds: Sequence[str], looked: Mapping[tuple[str, int], Look], keep: int
) -> ScoutResult:
    """Which seeds to keep, from what was seen on each (round, seed).

    First the seeds that obey every round, then those that obey more than half of them; within these the surer ones,
    then the smaller seed. A seed that obeys half of the rounds or fewer, or has a picture nobody could judge, is never
    kept. Without any judgement the first `keep` seeds are taken and the result says so.
    """
    rates = tuple(_rate(name, [looked[name, seed].obeys for seed in seeds]) for name in rounds)
    if not any(rate.measured for rate in rates):
        return _unscouted(seeds, rounds, looked, keep, rates)
    # A round nobody can judge (its tag is unknown to the model) must not turn every seed away.
    judged = [rate.round for rate in rates if rate.measured]
    suitable = [seed for seed in seeds if _obeys_most(seed, judged, looked)]
    chosen = sorted(
        suitable, key=lambda seed: (-_obeyed(seed, judged, looked), -(_score(seed, judged, looked) or 0.0), seed)
    )[:keep]
    scouted = tuple(
        _scouted(seed, rounds, judged, looked, kept=seed in chosen, suitable=seed in suitable) for seed in seeds
    )
    all_rounds = sum(_obeyed(seed, judged, looked) == len(judged) for seed in chosen)
    sentences = [
        f"{len(suitable)} of {len(seeds)} seeds obey most rounds without LoRA; "
        f"the {len(chosen)} surest are used, {all_rounds} of them obey every round."
    ]
    if len(chosen) < keep:
        sentences.append(
            f"Fewer seeds obey than were asked for ({len(chosen)} of {keep}): the verdict will be less sure. "
            "Raise scouting.candidates, or make the prompts of the rounds stronger."
        )
    never = [rate for rate in rates if rate.measured and not rate.obeyed]
    if never:
        listed = ", ".join(f"{rate.round} (0 of {rate.measured}, at most {rate.high:.0%})" for rate in never)
        sentences.append(
            f"No seed obeys {listed}, without any LoRA: the checkpoint does not draw it from this prompt, so no LoRA "
            "can be blamed for it. Change the prompt of the round, or take the round out."
        )
    unjudged = [name for name in rounds if name not in judged]
    if unjudged:
        sentences.append(f"Not measured: {', '.join(unjudged)}.")
    reserve = tuple(sorted({*suitable} - {*chosen}))
    return ScoutResult(tuple(sorted(chosen)), keep, True, rates, scouted, tuple(sentences), reserve)


def _unscouted(
    seeds: Sequence[int],
    rounds: Sequence[str],
    looked: Mapping[tuple[str, int], Look],
    keep: int,
    rates: tuple[RoundRate, ...],
) -> ScoutResult:
    why = next((look.why for look in looked.values() if look.why), "nothing here can judge the poses")
    chosen = tuple(sorted(seeds[:keep]))
    scouted = tuple(_scouted(seed, rounds, [], looked, kept=seed in chosen, suitable=False) for seed in seeds)
    sentence = f"Obedience was not measured ({why}): the first {len(chosen)} seeds are used as they come."
    return ScoutResult(chosen, keep, False, rates, scouted, (sentence,), tuple(sorted(seeds[keep:])))


def _rate(name: str, answers: Sequence[bool | None]) -> RoundRate:
    measured = [answer for answer in answers if answer is not None]
    return RoundRate(name, sum(measured), len(measured), *wilson(sum(measured), len(measured)))


def _obeyed(seed: int, rounds: Sequence[str], looked: Mapping[tuple[str, int], Look]) -> int:
    return sum(looked[name, seed].obeys is True for name in rounds)


def _obeys_most(seed: int, rounds: Sequence[str], looked: Mapping[tuple[str, int], Look]) -> bool:
    complete = all(looked[name, seed].obeys is not None for name in rounds)
    return complete and 2 * _obeyed(seed, rounds, looked) > len(rounds)


def _score(seed: int, rounds: Sequence[str], looked: Mapping[tuple[str, int], Look]) -> float | None:
    scores = [look.score for name in rounds if (look := looked[name, seed]).score is not None]
    return mean([s for s in scores if s is not None]) if scores else None


def _scouted(
    seed: int,
    rounds: Sequence[str],
    judged: Sequence[str],
    looked: Mapping[tuple[str, int], Look],
    *,
    kept: bool,
    suitable: bool,
) -> SeedScouted:
    obeyed = tuple(name for name in rounds if looked[name, seed].obeys is True)
    failed = tuple(name for name in rounds if looked[name, seed].obeys is False)
    missing = tuple(name for name in rounds if looked[name, seed].obeys is None)
    unjudged = [name for name in missing if name in judged]
    if not judged:
        reason = "not measured"
    elif unjudged:
        reason = f"could not be judged in {', '.join(unjudged)}"
    elif not failed:
        reason = "obeys every round"
    else:
        reason = f"obeys {len(obeyed)} of {len(judged)} rounds, not {', '.join(failed)}"
    if suitable and not kept:
        reason += "; enough others are surer"
    return SeedScouted(seed, kept, obeyed, failed, missing, _score(seed, rounds, looked), reason)
