"""The race: a few seeds for every cell, further ones only for cells that may still be the best, one confirmation.

    look       every cell on `start` seeds; what is shown to be below the leader leaves, the others get `step` more
    end        one cell is left, the seeds are used up, or the budget of pictures is
    confirm    the best three of the race on fresh seeds, once: only that test may name a single best cell

Looking again and again at growing numbers finds differences where there are none (simulated: a false winner between two
equal cells in a fifth of the races). So each look spends an equal part of the chance of error, and the winner's name
comes from pictures nobody has chosen by. Simulated over random worlds in `tests/evaluation`.

Nothing is drawn here: `see` is asked, and asked again for the same gives the same, so a race that was stopped goes
on by being run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.race_record import Look, Race
from orchestrator.evaluation.scores import score_observations
from orchestrator.evaluation.statistics import may_be_best, mean
from orchestrator.evaluation.verdict import CellResult, Outcome, Verdict
from orchestrator.evaluation.weighing import IDENTITY_FLOOR, MOST_COLLAPSED, judge, tie_winner, utilities
from orchestrator.profile.model import Racing, VerdictPlan

#: Of the confirmation: the chance that a leader which is no better than another one passes is below 1.5 in 100.
CONFIRM_CONFIDENCE = 0.985
FINALISTS = 3
#: Of the budget left after the first look, at most this is kept for the confirmation.
CONFIRM_SHARE = 0.6
#: Fewer fresh seeds than this confirm nothing.
FEWEST_FRESH = 4

#: Seeds to draw for each cell, the baseline among them → everything observed on those pictures.
See = Callable[[Mapping[CellId, Sequence[int]]], Sequence[Observation]]


def looks_of(seeds: int, rules: Racing) -> list[int]:
    """Up to how many seeds each look goes: 4, 8, 12 …"""
    first = min(rules.start, seeds)
    return [first, *(min(at, seeds) for at in range(first + rules.step, seeds + rules.step, rules.step))]


def most_pictures(cells: int, seeds: int, fresh: int, rounds: int, rules: Racing) -> int:
    """More than this a race never draws: everything, or the budget; the first look is always drawn."""
    first = (cells + 1) * rounds * looks_of(seeds, rules)[0]
    everything = (cells + 1) * rounds * seeds + (FINALISTS + 1) * rounds * min(fresh, rules.confirm)
    return max(first, min(everything, rules.budget))


def run_race(
    cells: Sequence[CellId],
    seeds: Sequence[int],
    fresh: Sequence[int],
    rounds: int,
    rules: Racing,
    plan: VerdictPlan,
    see: See,
    not_measured: Callable[[], Sequence[str]] = tuple,
) -> Verdict:
    """Race `cells` over `seeds`, confirm the finalists on `fresh`, and judge.

    `seeds` in the order they are used; `rounds`: pictures of a cell on one seed. With no more seeds than the first look
    has, and none to confirm on, this is the plain design: one look, nothing to spend. `not_measured`: asked at the end
    for sentences on what could not be measured.
    """
    ends = looks_of(len(seeds), rules)
    confirming = tuple(seed for seed in fresh if seed not in set(seeds))[: rules.confirm]
    each = (min(FINALISTS, len(cells)) + 1) * rounds
    affordable = int(CONFIRM_SHARE * (rules.budget - (len(cells) + 1) * rounds * ends[0])) // each
    confirming = confirming[: max(0, affordable)] if affordable >= FEWEST_FRESH else ()
    reserve = each * len(confirming)
    alive, own = list(cells), {cell: tuple(seeds[: ends[0]]) for cell in cells}
    looks: list[Look] = []
    aside: list[CellId] = []
    left_after: dict[CellId, int] = {}
    pictures = 0
    observations: list[Observation] = []
    shares: Mapping[str, float] = {}
    # Every look spends an equal part; a single look, the plain design, spends all.
    confidence = 1 - (1 - plan.confidence) / len(ends)
    for number, end in enumerate(ends):
        before = ends[number - 1] if number else 0
        cost = (len(alive) + 1) * rounds * (end - before)
        if number:
            room = (rules.budget - reserve - pictures) // (rounds * (end - before)) - 1
            if room < min(2, len(alive)):
                break
            if room < len(alive):
                ranked = sorted(alive, key=lambda cell: -_mean(observations, cell, own[cell], shares))
                aside += ranked[room:]
                alive = [cell for cell in alive if cell in set(ranked[:room])]
                cost = (len(alive) + 1) * rounds * (end - before)
        pictures += cost
        own.update({cell: tuple(seeds[:end]) for cell in alive})
        observations = list(see({**own, BASELINE: tuple(seeds[:end])}))
        looked = judge(_only(observations, alive, seeds[:end]), plan, set_confidence=confidence, figures=False)
        shares = looked.shares or {}
        stays = [cell for cell in alive if cell in looked.may_be_best or _unsure(looked.result(cell), plan)]
        if looked.recommended is None:
            # Nothing can be ranked: who stays is decided by the gates that are sure.
            stays = [r.cell for r in looked.cells if not r.out or _unsure(r, plan)]
        left = tuple(cell for cell in alive if cell not in stays)
        left_after.update(dict.fromkeys(left, end))
        looks.append(Look(end, len(alive), cost, left))
        alive = stays
        if not shares or len(alive) < 2:
            break
    plain = len(looks) == 1 and len(ends) == 1
    finalists = _finalists(observations, own, [*alive, *aside], [*left_after], shares, plan)
    unconfirmed = _why_not(finalists, confirming, fresh, rules)
    if not unconfirmed:
        pictures += (len(finalists) + 1) * rounds * len(confirming)
        drawn = {cell: (*own[cell], *confirming) if cell in finalists else own[cell] for cell in own}
        observations = list(see({**drawn, BASELINE: (*seeds[: looks[-1].seeds], *confirming)}))
    used = () if unconfirmed else confirming
    race = Race(tuple(looks), pictures, rules.budget, tuple(aside), finalists, used, False, unconfirmed)
    said = tuple(not_measured())
    if plain and unconfirmed:
        return judge(_only(observations, cells, seeds), plan, not_measured=said, unconfirmed=unconfirmed)
    return _conclude(observations, cells, own, race, left_after, plan, said, confidence)


def _conclude(
    observations: Sequence[Observation],
    cells: Sequence[CellId],
    own: Mapping[CellId, Sequence[int]],
    race: Race,
    left_after: Mapping[CellId, int],
    plan: VerdictPlan,
    said: Sequence[str],
    confidence: float,
) -> Verdict:
    from orchestrator.evaluation.words import sentences

    shares: Mapping[str, float] = {}
    results: dict[CellId, CellResult] = {}
    # On the seeds all cells share: what is said along the axes compares all of them.
    start = own[min(cells, key=lambda cell: len(own[cell]))]
    whole = judge(_only(observations, cells, start), plan, not_measured=said, rank=False)
    shares = whole.shares or {}
    drawn = {cell: (*own[cell], *(race.fresh if cell in race.finalists else ())) for cell in cells}
    for used in dict.fromkeys(drawn.values()):
        alike = [cell for cell in cells if drawn[cell] == used]
        part = judge(_only(observations, alike, used), plan, rank=False)
        results.update({result.cell: result for result in part.cells})
    # Those of the last look, whoever left by it.
    last = max(own.values(), key=len)
    followed = [cell for cell in cells if len(own[cell]) == len(last)]
    field = judge(_only(observations, followed, last), plan, set_confidence=confidence)
    final = [cell for cell in race.finalists if not results[cell].out]
    if not shares or field.outcome == "not measured" or not final:
        verdict = replace(whole, cells=tuple(_gone(results[c], left_after) for c in cells), race=race)
        outcome: Outcome = "not measured" if whole.outcome == "not measured" else "none passes"
        verdict = replace(verdict, outcome=outcome)
        return replace(verdict, sentences=sentences(verdict))
    members = [cell for cell in cells if cell not in left_after and not results[cell].out]
    shared = tuple(seed for seed in own[final[0]] if all(seed in own[cell] for cell in final)) + race.fresh
    table = utilities(score_observations(_only(observations, final, shared)), shares)
    ranked = [(cell, mean(row)) for cell in final if (row := table.get(cell)) is not None]
    leader, recommended = tie_winner(ranked, plan.practical_tie)
    if race.fresh:
        race = _confirm(observations, final, race, shares)
        if race.confirmed:
            members = [final[0]]
            leader = recommended = final[0]
    members = [cell for cell in cells if cell in {*members, leader, recommended}]
    results = {
        cell: replace(_gone(result, left_after, keep=members), may_be_best=cell in members)
        for cell, result in results.items()
    }
    verdict = replace(
        whole,
        outcome="single best" if race.confirmed else "may be best",
        leader=leader,
        recommended=recommended,
        may_be_best=tuple(members),
        cells=_with_front([results[cell] for cell in cells]),
        baseline=field.baseline,
        seeds=(*last, *race.fresh),
        residual_sd=field.residual_sd,
        margin=field.margin,
        smallest_difference=field.smallest_difference,
        seeds_needed=field.seeds_needed,
        race=race,
    )
    return replace(verdict, sentences=sentences(verdict))


def _confirm(
    observations: Sequence[Observation], final: Sequence[CellId], race: Race, shares: Mapping[str, float]
) -> Race:
    """The one test on fresh seeds: the leader was named before, so luck on those seeds cannot make another one win."""
    table = utilities(score_observations(_only(observations, final, race.fresh)), shares)
    rows = [row for cell in final if (row := table.get(cell)) is not None]
    if len(rows) < len(final):
        return replace(race, unconfirmed="some pictures of the confirmation could not be measured")
    if len(rows) < 2:
        return replace(race, unconfirmed="there was nothing to compare it with")
    best = may_be_best(rows, CONFIRM_CONFIDENCE)
    return replace(race, confirmed=best.leader == 0 and best.members == (0,), margin=best.margin)


def _finalists(
    observations: Sequence[Observation],
    own: Mapping[CellId, Sequence[int]],
    staying: Sequence[CellId],
    left: Sequence[CellId],
    shares: Mapping[str, float],
    plan: VerdictPlan,
) -> tuple[CellId, ...]:
    """The leader first, then the next best by their distance to it on the seeds they share, those that left among them:
    one that left by bad luck must be able to stop a false winner.
    """
    if not shares:
        return ()
    out = {r.cell for r in _each(observations, own, plan) if r.out}
    staying = [cell for cell in staying if cell not in out]
    if not staying:
        return ()
    most = max(len(own[cell]) for cell in staying)
    leader = max(
        (cell for cell in staying if len(own[cell]) == most), key=lambda c: _mean(observations, c, own[c], shares)
    )
    others = [cell for cell in [*staying, *left] if cell != leader and cell not in out]

    def behind(cell: CellId) -> float:
        return _mean(observations, leader, own[cell], shares) - _mean(observations, cell, own[cell], shares)

    return (leader, *sorted(others, key=lambda cell: (behind(cell), cell.weight, cell.epoch or 0))[: FINALISTS - 1])


def _each(
    observations: Sequence[Observation], own: Mapping[CellId, Sequence[int]], plan: VerdictPlan
) -> list[CellResult]:
    found: list[CellResult] = []
    for used in dict.fromkeys(own.values()):
        alike = [cell for cell in own if own[cell] == used]
        found += judge(_only(observations, alike, used), plan, rank=False, figures=False).cells
    return found


def _why_not(finalists: Sequence[CellId], confirming: Sequence[int], fresh: Sequence[int], rules: Racing) -> str:
    if not rules.confirm:
        return "the profile asks for no confirmation"
    if len(finalists) < 2:
        return "there was nothing to compare it with"
    if len(confirming) >= FEWEST_FRESH:
        return ""
    if len(fresh) >= FEWEST_FRESH:
        return "the budget of pictures left none for it"
    return f"it needs {FEWEST_FRESH} fresh seeds that obey, and scouting left {len(fresh)}"


def _unsure(result: CellResult | None, plan: VerdictPlan) -> bool:
    """Whether a cell fails a gate, but not beyond chance: a few seeds more may show that it passes."""
    if result is None or not result.out:
        return False
    if result.out.startswith("black"):
        return result.collapsed is not None and result.collapsed.low <= MOST_COLLAPSED
    if result.faces is not None and result.faces.count < plan.min_face_rate * result.faces.of:
        return result.faces.high >= plan.min_face_rate
    if result.out.startswith("another face") and result.identity is not None:
        return result.identity.high is None or result.identity.high >= IDENTITY_FLOOR
    return False


def _gone(result: CellResult, left_after: Mapping[CellId, int], keep: Sequence[CellId] = ()) -> CellResult:
    seeds = left_after.get(result.cell)
    if seeds is None or result.out or result.cell in keep:
        return result
    return replace(result, left=f"left the race after {seeds} seeds: shown to be below the leader")


def _with_front(results: Sequence[CellResult]) -> tuple[CellResult, ...]:
    from orchestrator.evaluation.statistics import pareto_front

    inside = [r for r in results if not r.out and r.identity is not None and r.obedience is not None]
    points = [(r.identity.mean, r.obedience.mean) for r in inside if r.identity and r.obedience]
    front = {r.cell for r, on in zip(inside, pareto_front(points), strict=True) if on} if points else set()
    return tuple(replace(r, pareto=r.cell in front) for r in results)


def _mean(
    observations: Sequence[Observation], cell: CellId, seeds: Sequence[int], shares: Mapping[str, float]
) -> float:
    row = utilities(score_observations(_only(observations, [cell], seeds)), shares).get(cell)
    return mean(row) if row else -1.0


def _only(observations: Sequence[Observation], cells: Sequence[CellId], seeds: Sequence[int]) -> list[Observation]:
    """The observations of those cells and the baseline on those seeds (none given = all)."""
    wanted, on = {*cells, BASELINE}, set(seeds)
    return [o for o in observations if o.cell in wanted and (not on or o.seed in on)]
