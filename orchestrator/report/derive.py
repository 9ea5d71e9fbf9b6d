"""Tables and series a report shows, worked out from what was observed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.report.content import CellScore, Interval, Observed


@dataclass(frozen=True)
class HeatCell:
    """One cell of a heat table: its value, or why it has none."""

    value: float | None
    #: 0 to 1, how strongly it is tinted.
    shade: float = 0.0
    mark: bool = False
    note: str = ""
    #: The interval's ends; None = chance is unknown, or no interval is shown.
    ends: tuple[float, float] | None = None
    #: Where its pictures stand in the report.
    anchor: str = ""
    gated: bool = False


@dataclass(frozen=True)
class HeatTable:
    """Epochs down, weights across; `baseline` is the value without LoRA."""

    title: str
    weights: tuple[float, ...]
    rows: tuple[tuple[int, tuple[HeatCell, ...]], ...]
    baseline: float | None = None
    #: Below the title: the unit, how many pictures have a number.
    note: str = ""
    digits: int = 2
    percent: bool = False


#: A mean with its ends, a bare number, or nothing measured.
Value = Interval | float | None


def heat_table(
    title: str,
    cells: Iterable[CellScore],
    value: Callable[[CellScore], Value],
    *,
    tints: tuple[float, float] | None = (0.0, 1.0),
    note: str = "",
    digits: int = 2,
    percent: bool = False,
) -> HeatTable | None:
    """A heat table of one number of every cell; None when no cell has it.

    Tints run over the fixed scale 0 to 1, or the one given, not over what happens to be there, so that small
    differences do not look large; None is for numbers without a scale of their own.
    """
    known = list(cells)
    baseline = next((_mean(value(cell)) for cell in known if cell.is_baseline), None)
    inner = {(cell.epoch, cell.weight): cell for cell in known if cell.epoch is not None and cell.weight is not None}
    if not any(value(cell) is not None for cell in inner.values()):
        return None
    epochs = sorted({cell.epoch for cell in inner.values() if cell.epoch is not None})
    weights = tuple(sorted({cell.weight for cell in inner.values() if cell.weight is not None}))
    there = [number for cell in inner.values() if (number := _mean(value(cell))) is not None]
    low, high = tints or (min(there), max(there))
    rows = []
    for epoch in epochs:
        row = []
        for weight in weights:
            cell = inner.get((epoch, weight))
            if cell is None:
                row.append(HeatCell(None, note="not drawn"))
                continue
            found = value(cell)
            number = _mean(found)
            shade = 0.0 if number is None else min(1.0, max(0.0, (abs(number) - low) / ((high - low) or 1.0)))
            why = cell.gated or ("not measured" if number is None else cell.left)
            ends = None
            if isinstance(found, Interval) and found.low is not None and found.high is not None:
                ends = (found.low, found.high)
            row.append(HeatCell(number, shade, cell.may_be_best, why, ends, cell.anchor, bool(cell.gated)))
        rows.append((epoch, tuple(row)))
    return HeatTable(title, weights, tuple(rows), baseline, note, digits, percent)


def _mean(value: Value) -> float | None:
    return value.mean if isinstance(value, Interval) else value


#: As many as fit on a printed page, and on a screen without scrolling.
SEEDS_BESIDE = 7


@dataclass(frozen=True)
class SideBySide:
    """The finalists' pictures of one round: a row for each cell, a picture for each seed (None = not drawn).

    Rounds on many seeds are several tables; `round` is empty in all but the first.
    """

    round: str
    seeds: tuple[int, ...]
    rows: tuple[tuple[str, tuple[Observed | None, ...]], ...]


def side_by_side(observations: Sequence[Observed], finalists: Sequence[tuple[int, float]]) -> list[SideBySide]:
    """Every round with the finalists and, last, the row without LoRA, on all seeds the first finalist was drawn on."""
    if not finalists:
        return []
    at = {(o.epoch, o.weight, o.round, o.seed): o for o in observations}
    rows: list[tuple[int | None, float | None]] = [*finalists, (None, None)]
    found = []
    for name in dict.fromkeys(o.round for o in observations):
        every = sorted({o.seed for o in observations if (o.epoch, o.weight) == finalists[0] and o.round == name})
        # Tables of about the same length: one picture alone in the last would look like a mistake.
        tables = -(-len(every) // SEEDS_BESIDE)
        for number in range(tables):
            start, end = (len(every) * at // tables for at in (number, number + 1))
            seeds = tuple(every[start:end])
            shown = tuple(
                (CellScore(epoch, weight).name, tuple(at.get((epoch, weight, name, seed)) for seed in seeds))
                for epoch, weight in rows
            )
            found.append(SideBySide("" if start else name, seeds, tuple(row for row in shown if any(row[1]))))
    return found


def round_tables(observations: Sequence[Observed], scores: Sequence[CellScore] = ()) -> list[HeatTable]:
    """Mean obedience per cell for every round, in the order the rounds were first seen."""
    best = {(cell.epoch, cell.weight) for cell in scores if cell.may_be_best}
    tables = []
    for name in dict.fromkeys(observed.round for observed in observations):
        means = _means([observed for observed in observations if observed.round == name])
        cells = [CellScore(epoch, weight, may_be_best=(epoch, weight) in best) for epoch, weight in means]
        if table := heat_table(name, cells, lambda cell, of=means: of[cell.epoch, cell.weight]):  # type: ignore[misc]
            tables.append(table)
    return tables


def _means(observations: Sequence[Observed]) -> dict[tuple[int | None, float | None], float | None]:
    values: dict[tuple[int | None, float | None], list[float]] = {}
    for observed in observations:
        found = values.setdefault((observed.epoch, observed.weight), [])
        if observed.obedience is not None:
            found.append(observed.obedience)
    return {place: sum(found) / len(found) if found else None for place, found in values.items()}


def pareto_front(cells: Iterable[CellScore]) -> list[tuple[float, float]]:
    """(obedience, identity) of the cells that no other beats in both, obedience rising. Gated cells are not in it."""
    inside = [cell for cell in cells if not cell.gated and not cell.is_baseline]
    points = {(cell.obedience.mean, cell.identity.mean) for cell in inside if cell.obedience and cell.identity}
    front: list[tuple[float, float]] = []
    for obedience, identity in sorted(points, reverse=True):
        if not front or identity > front[-1][1]:
            front.append((obedience, identity))
    return front[::-1]


def ranked(cells: Iterable[CellScore]) -> list[CellScore]:
    """Cells in the ranking, best first; the gated ones and the baseline are left out."""
    inside = [cell for cell in cells if cell.utility is not None and not cell.gated and not cell.is_baseline]
    return sorted(inside, key=lambda cell: -(cell.utility.mean if cell.utility else 0.0))


def smoothed(points: Sequence[tuple[int, float]], share: float = 0.05) -> list[tuple[float, float]]:
    """A running mean over `share` of the points, centred; shorter towards the ends."""
    half = max(1, round(len(points) * share / 2))
    result = []
    for index, (step, _) in enumerate(points):
        window = [loss for _, loss in points[max(0, index - half) : index + half + 1]]
        result.append((float(step), sum(window) / len(window)))
    return result


def thinned(points: Sequence[tuple[int, float]], most: int = 400) -> list[tuple[int, float]]:
    """At most about `most` points: the mean of each run of neighbours, at its middle step."""
    size = max(1, -(-len(points) // most))
    runs = [points[at : at + size] for at in range(0, len(points), size)]
    return [(run[len(run) // 2][0], sum(loss for _, loss in run) / len(run)) for run in runs]
