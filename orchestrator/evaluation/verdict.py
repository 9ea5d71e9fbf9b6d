"""The verdict: gates, one declared utility, the leader, and the cells that may be best beside it.

    gates      what no average may make up for: pictures that are not there, lost faces, another face
    utility    the shares of the profile's [verdict], over what was measured
    set        the cells that may be best with these seeds, and those within the practical tie of the leader
    tie rule   among the cells within half the practical tie of the leader: the lowest weight, then the earliest epoch

Obedience is compared between cells only, never with the baseline: the seeds were kept because their pictures without
LoRA obeyed, so those are the lucky ones of their kind, and a LoRA that does nothing would seem to refuse.

Nothing is drawn or measured here, only weighed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from orchestrator.distributions import wilson
from orchestrator.evaluation.metrics.summary import Figure, figures_of, tell_nothing
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.race_record import Race
from orchestrator.evaluation.scores import METRICS, Metric, Scores, score_observations
from orchestrator.evaluation.statistics import (
    Interval,
    may_be_best,
    mean,
    pareto_front,
    seeds_needed,
    smallest_difference,
    standard_deviation,
    t_interval,
)
from orchestrator.evaluation.tilt import Tilt, tilt
from orchestrator.profile.model import VerdictPlan

#: Cells whose mean identity is below this are still somebody else: 0 is the baseline, 1 the dataset's own pictures.
IDENTITY_FLOOR = 0.2
#: Of the practical tie: cells measured this near to the leader are as good. Half of it, because what is measured is off
#: by about as much (simulated: at the whole of it the cell used is within the tie of the best in 3 % fewer worlds).
TIE_SHARE = 0.5
#: Cells with a larger share of black, flat or noisy pictures draw no pictures worth comparing.
MOST_COLLAPSED = 0.1
#: How faults begin that show without any identity or obedience.
PLAIN_FAULTS = ("black, flat or noise in ", "a face in only ")
VERDICT_FORMAT = 1

Outcome = Literal["single best", "may be best", "none passes", "not measured"]


@dataclass(frozen=True)
class Rate:
    """`count` of `of` pictures, with Wilson's interval of the rate."""

    count: int
    of: int
    low: float
    high: float


@dataclass(frozen=True)
class CellResult:
    """One cell's figures. None = not measured; `out` says why a cell is not ranked (empty = ranked)."""

    cell: CellId
    utility: Interval | None = None
    identity: Interval | None = None
    obedience: Interval | None = None
    upright: Interval | None = None
    faces: Rate | None = None
    drawn: Rate | None = None
    #: Pictures that are black, one even surface, or noise.
    collapsed: Rate | None = None
    #: Mean and standard deviation of the roll over the faces found (their rate is `faces`), degrees.
    roll_mean: float | None = None
    roll_sd: float | None = None
    tilt: Tilt | None = None
    sharpness: float | None = None
    #: Every metric of `orchestrator.evaluation.metrics` that was measured, in their order.
    figures: tuple[Figure, ...] = ()
    out: str = ""
    #: When and why it was not drawn further in a race; empty = it went to the end.
    left: str = ""
    may_be_best: bool = False
    #: On the front of identity × obedience: no ranked cell is better in one and as good in the other.
    pareto: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the rounds say about all cells. Utilities lie in 0…1; every interval is over seeds."""

    outcome: Outcome
    #: What to use, by the tie rule; None when nothing passes or nothing was measured.
    recommended: CellId | None = None
    #: The highest mean utility.
    leader: CellId | None = None
    may_be_best: tuple[CellId, ...] = ()
    cells: tuple[CellResult, ...] = ()
    baseline: CellResult | None = None
    seeds: tuple[int, ...] = ()
    rounds: tuple[str, ...] = ()
    #: The shares used, scaled to 1 over what was measured.
    shares: Mapping[str, float] | None = None
    confidence: float = 0.95
    practical_tie: float = 0.01
    residual_sd: float | None = None
    #: How far below the leader a cell may lie and still be one that may be best.
    margin: float | None = None
    #: The true difference these seeds would show in four of five repetitions.
    smallest_difference: float | None = None
    #: Seeds needed to show a difference of `practical_tie` equally surely.
    seeds_needed: int | None = None
    #: The verdict in two sentences.
    sentences: tuple[str, ...] = ()
    trade_offs: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()
    #: What was drawn: `orchestrator.evaluation.inputs.fingerprint`, and the sha256 of every LoRA file.
    fingerprint: str = ""
    lora_files: tuple[str, ...] = ()
    #: How the cells were raced; None = all were drawn on all seeds.
    race: Race | None = None

    @property
    def text(self) -> str:
        """The two sentences."""
        return " ".join(self.sentences)

    @property
    def rule(self) -> str:
        """By which rule one of several equals is used."""
        near = f"{TIE_SHARE * self.practical_tie:g}"
        return (
            f"Of cells within {near} of the leader, the one with the lowest weight, then the earliest epoch, is used."
        )

    def result(self, cell: CellId | None) -> CellResult | None:
        """The figures of one cell, the baseline among them."""
        return next((r for r in (*self.cells, self.baseline) if r is not None and r.cell == cell), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        return {"format": VERDICT_FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """A verdict from `to_dict`'s values. Raises KeyError or TypeError for anything else."""
        values = {name: value for name, value in data.items() if name != "format"}
        for name in ("recommended", "leader"):
            values[name] = CellId.from_dict(values[name]) if values[name] else None
        values["may_be_best"] = tuple(CellId.from_dict(cell) for cell in values["may_be_best"])
        values["cells"] = tuple(_result_from(cell) for cell in values["cells"])
        values["race"] = Race.from_dict(values["race"]) if values.get("race") else None
        values["baseline"] = _result_from(values["baseline"]) if values["baseline"] else None
        for name in ("seeds", "rounds", "sentences", "trade_offs", "not_measured", "lora_files"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


def judge(
    observations: Sequence[Observation],
    plan: VerdictPlan,
    *,
    not_measured: Sequence[str] = (),
    set_confidence: float | None = None,
    rank: bool = True,
    figures: bool = True,
) -> Verdict:
    """The verdict on all cells that were observed.

    `not_measured`: sentences saying what could not be measured and why; they are passed on, together with what shows
    here. `set_confidence`: that of the set that may be best, where it is another one than the intervals'. Without
    `rank` only the cells' own figures are worked out, without `figures` all but those of the metrics beside
    the ranking.
    """
    from orchestrator.evaluation.trade_offs import trade_offs
    from orchestrator.evaluation.words import missing_metrics, sentences

    scores = score_observations(observations)
    shares = _shares(plan, scores)
    results = [_measure(cell, scores, shares, plan) for cell in scores.cells]
    baseline = _measure(BASELINE, scores, shares, plan) if scores.at[BASELINE] else None
    nothing = tell_nothing(observations) if figures else {}
    if figures:
        by_cell = figures_of(observations, plan.confidence, nothing)
        results = [replace(result, figures=by_cell.get(result.cell, ())) for result in results]
        baseline = replace(baseline, figures=by_cell.get(BASELINE, ())) if baseline else None
    verdict = Verdict(
        outcome="not measured" if not shares else "none passes",
        cells=tuple(results),
        baseline=baseline,
        seeds=scores.seeds,
        rounds=scores.rounds,
        shares=shares,
        confidence=plan.confidence,
        practical_tie=plan.practical_tie,
        not_measured=(*not_measured, *missing_metrics(plan, scores), *nothing.values()),
        trade_offs=tuple(trade_offs(scores, results, plan.confidence)),
    )
    ranked = [result for result in results if not result.out]
    if results and all(result.out.startswith(PLAIN_FAULTS) for result in results):
        # Seen in every cell, whatever else could not be measured there.
        verdict = replace(verdict, outcome="none passes")
    elif plan.identity > 0 and "identity" not in shares:
        # What is left favours the LoRA that does least: the pictures without any obey best.
        verdict = replace(verdict, outcome="not measured")
    elif shares and ranked and rank:
        verdict = _rank(verdict, ranked, scores, shares, plan, set_confidence or plan.confidence)
        if figures and verdict.residual_sd is not None:
            # A search over many quantiles: a quarter of a second, for the last look only.
            needed = seeds_needed(
                plan.practical_tie, verdict.residual_sd, len(ranked), set_confidence or plan.confidence
            )
            verdict = replace(verdict, seeds_needed=needed)
    return replace(verdict, sentences=sentences(verdict)) if rank else verdict


def utilities(scores: Scores, shares: Mapping[str, float]) -> dict[CellId, list[float]]:
    """Each cell's utility on every seed; cells with a gap are left out."""
    rows = {cell: _utility(cell, scores, shares) for cell in scores.cells}
    return {cell: row for cell, row in rows.items() if row}


def tie_winner(ranked: Sequence[tuple[CellId, float]], practical_tie: float) -> tuple[CellId, CellId]:
    """(leader, the one to use) of cells with their mean utilities: the tie rule of this module."""
    leader, top = max(ranked, key=lambda each: each[1])
    tied = [cell for cell, value in ranked if value >= top - TIE_SHARE * practical_tie - 1e-9]
    return leader, min(tied, key=lambda cell: (cell.weight, cell.epoch or 0))


def _shares(plan: VerdictPlan, scores: Scores) -> dict[str, float]:
    wanted = {"identity": plan.identity, "obedience": plan.obedience, "upright": plan.upright}
    used = {name: wanted[name] for name in METRICS if name in scores.measured and wanted[name] > 0}
    total = math.fsum(used.values())
    return {name: share / total for name, share in used.items()}


def _utility(cell: CellId, scores: Scores, shares: Mapping[str, float]) -> list[float] | None:
    rows = {metric: scores.complete(metric, cell) for metric in METRICS if metric in shares}
    complete = {metric: row for metric, row in rows.items() if row is not None}
    if len(complete) < len(rows):
        return None
    return [math.fsum(shares[metric] * row[i] for metric, row in complete.items()) for i in range(len(scores.seeds))]


def _measure(cell: CellId, scores: Scores, shares: Mapping[str, float], plan: VerdictPlan) -> CellResult:
    observed = scores.at[cell]
    places = [(name, seed) for name in scores.rounds for seed in scores.seeds]
    pictures = [o for place in places if (o := observed.get(place)) is not None and o.drawn]
    looked = [o for o in pictures if o.face_found is not None]
    rolls, baseline_rolls = (
        {place: o.roll_deg for place, o in scores.at[at].items() if o.roll_deg is not None} for at in (cell, BASELINE)
    )
    sharp = [o.sharpness for o in pictures if o.sharpness is not None]
    collapsed = [o.metrics["collapse"] for o in pictures if "collapse" in o.metrics]
    utility = _utility(cell, scores, shares) if shares else None
    result = CellResult(
        cell=cell,
        utility=t_interval(utility, plan.confidence) if utility else None,
        identity=_interval("identity", cell, scores, plan.confidence),
        obedience=_interval("obedience", cell, scores, plan.confidence),
        upright=_interval("upright", cell, scores, plan.confidence),
        faces=_rate(sum(o.face_found is True for o in looked), len(looked), plan.confidence) if looked else None,
        drawn=_rate(len(pictures), len(places), plan.confidence),
        collapsed=_rate(collapsed.count(1.0), len(collapsed), plan.confidence) if collapsed else None,
        roll_mean=mean(list(rolls.values())) if rolls else None,
        roll_sd=standard_deviation(list(rolls.values())) if len(rolls) > 1 else None,
        tilt=None if cell.is_baseline else tilt(rolls, baseline_rolls, plan.confidence),
        sharpness=mean(sharp) if sharp else None,
    )
    return result if cell.is_baseline else replace(result, out=_gate(result, scores, shares, plan))


def _gate(result: CellResult, scores: Scores, shares: Mapping[str, float], plan: VerdictPlan) -> str:
    """Why the cell is out of the ranking; empty = it is in."""
    if result.drawn is not None and result.drawn.count < result.drawn.of:
        return f"{result.drawn.of - result.drawn.count} of {result.drawn.of} pictures are not there"
    if result.collapsed is not None and result.collapsed.count > MOST_COLLAPSED * result.collapsed.of:
        return f"black, flat or noise in {result.collapsed.count} of {result.collapsed.of} pictures"
    if result.faces is not None and result.faces.count < plan.min_face_rate * result.faces.of:
        return f"a face in only {result.faces.count} of {result.faces.of} pictures (wanted: {plan.min_face_rate:.0%})"
    if plan.identity > 0 and result.identity is not None and result.identity.mean < IDENTITY_FLOOR:
        return f"another face: identity {result.identity.mean:.2f}, the floor is {IDENTITY_FLOOR:.2f}"
    # Only what has a share in the utility is asked for.
    incomplete = [metric for metric in METRICS if metric in shares and scores.complete(metric, result.cell) is None]
    if incomplete:
        return f"{' and '.join(incomplete)} could not be measured in some of its pictures"
    return ""


def _rank(
    verdict: Verdict,
    ranked: Sequence[CellResult],
    scores: Scores,
    shares: Mapping[str, float],
    plan: VerdictPlan,
    confidence: float,
) -> Verdict:
    table = [row for result in ranked if (row := _utility(result.cell, scores, shares)) is not None]
    best = may_be_best(table, confidence)
    # Cells nearer than the practical tie are as good for all we care, however surely their order is known.
    tied = [
        r.cell for r, m in zip(ranked, best.means, strict=True) if m >= best.means[best.leader] - plan.practical_tie
    ]
    members = [r.cell for i, r in enumerate(ranked) if i in best.members or r.cell in tied]
    leader, recommended = tie_winner([(r.cell, m) for r, m in zip(ranked, best.means, strict=True)], plan.practical_tie)
    front = _front(ranked, scores)
    seeds, count = len(scores.seeds), len(ranked)
    comparable = count > 1 and seeds > 1
    return replace(
        verdict,
        # One seed says nothing about chance, whatever it shows.
        outcome="single best" if len(members) == 1 and seeds > 1 else "may be best",
        recommended=recommended,
        leader=leader,
        may_be_best=tuple(members),
        cells=tuple(replace(r, may_be_best=r.cell in members, pareto=r.cell in front) for r in verdict.cells),
        residual_sd=best.residual_sd if comparable else None,
        margin=best.margin if comparable else None,
        smallest_difference=(smallest_difference(best.residual_sd, seeds, count, confidence) if comparable else None),
    )


def _front(ranked: Sequence[CellResult], scores: Scores) -> set[CellId]:
    if "identity" not in scores.measured or "obedience" not in scores.measured:
        return set()
    rows = [(r.cell, scores.complete("identity", r.cell), scores.complete("obedience", r.cell)) for r in ranked]
    # A metric without a share may be incomplete in a ranked cell; a mean over other seeds is not comparable.
    points = {cell: (mean(identity), mean(obedience)) for cell, identity, obedience in rows if identity and obedience}
    return {cell for cell, on in zip(points, pareto_front(list(points.values())), strict=True) if on}


def _interval(metric: Metric, cell: CellId, scores: Scores, confidence: float) -> Interval | None:
    values = scores.available(metric, cell)
    return t_interval(values, confidence) if values else None


def _rate(count: int, of: int, confidence: float) -> Rate:
    return Rate(count, of, *wilson(count, of, confidence))


def _result_from(data: Mapping[str, Any]) -> CellResult:
    values = {name: value for name, value in data.items() if name != "obedience_margin"}
    values["cell"] = CellId.from_dict(values["cell"])
    values["figures"] = tuple(map(Figure.from_dict, values.get("figures", ())))
    for name in ("utility", "identity", "obedience", "upright"):
        values[name] = Interval(**values[name]) if values[name] else None
    for name in ("faces", "drawn", "collapsed"):
        values[name] = Rate(**values[name]) if values.get(name) else None
    if values["tilt"]:
        values["tilt"] = Tilt(**{**values["tilt"], "shift": Interval(**values["tilt"]["shift"])})
    return CellResult(**values)
