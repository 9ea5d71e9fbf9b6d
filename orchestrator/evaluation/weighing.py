"""How the verdict is found: gates, one declared utility, the leader, and the cells that may be best beside it.

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
from dataclasses import replace

from orchestrator.distributions import wilson
from orchestrator.evaluation.metrics.summary import figures_of, tell_nothing
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
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
from orchestrator.evaluation.tilt import tilt
from orchestrator.evaluation.verdict import TIE_SHARE, CellResult, Rate, Verdict
from orchestrator.profile.model import VerdictPlan

#: Cells whose mean identity is below this are still somebody else: 0 is the baseline, 1 the dataset's own pictures.
IDENTITY_FLOOR = 0.2
#: Cells with a larger share of black, flat or noisy pictures draw no pictures worth comparing.
MOST_COLLAPSED = 0.1
#: How faults begin that show without any identity or obedience.
PLAIN_FAULTS = ("black, flat or noise in ", "a face in only ")


def judge(
    observations: Sequence[Observation],
    plan: VerdictPlan,
    *,
    not_measured: Sequence[str] = (),
    unconfirmed: str = "",
    set_confidence: float | None = None,
    rank: bool = True,
    figures: bool = True,
) -> Verdict:
    """The verdict on all cells that were observed.

    `not_measured`: sentences saying what could not be measured and why; they are passed on, together with what shows
    here. `unconfirmed`: why no fresh seeds confirmed the leader. `set_confidence`: that of the set that may be best,
    where it is another one than the intervals'. Without `rank` only the cells' own figures are worked out, without
    `figures` all but those of the metrics beside the ranking.
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
    return replace(verdict, sentences=sentences(verdict, unconfirmed)) if rank else verdict


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
        # A single one is named by the confirmation of a race alone: the best of many is always a little lucky.
        outcome="may be best",
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
