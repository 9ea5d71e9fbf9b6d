"""The charts of a report: which numbers each shows, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from orchestrator.report import derive, svg
from orchestrator.report.content import (
    CellScore,
    Interval,
    MetricRow,
    Observed,
    TiltRow,
    TrainingSection,
    VerdictSection,
)
from orchestrator.report.derive import HeatTable

#: The chart shows the set that may be best and enough of the others to see the slope; the table below has all of them.
_MOST_DOTS = 24


def utility(verdict: VerdictSection) -> Markup:
    """Every ranked cell's utility with its interval, best first."""
    cells = derive.ranked(verdict.cells)
    shown = [cell for index, cell in enumerate(cells) if index < _MOST_DOTS or cell.may_be_best]
    rows = [
        svg.Dot(
            cell.name,
            u.mean,
            _ends(u),
            cell.may_be_best,
            "recommended" if cell.leader else "",
        )
        for cell in shown
        if (u := cell.utility)
    ]
    return Markup(svg.dots(rows, title="Utility of each cell with its interval", axis="utility, 0 to 1"))


def trade_off(verdict: VerdictSection) -> Markup:
    """Identity against obedience, with the line of cells no other beats in both."""
    points = [
        svg.Point(
            cell.name,
            cell.obedience.mean,
            cell.identity.mean,
            _ends(cell.obedience) if cell.may_be_best else None,
            _ends(cell.identity) if cell.may_be_best else None,
            cell.may_be_best,
            "no LoRA" if cell.is_baseline else f"{cell.epoch} · {cell.weight:g}" if cell.may_be_best else "",
        )
        for cell in verdict.cells
        if cell.obedience and cell.identity
    ]
    return Markup(
        svg.scatter(
            points,
            title="Identity and obedience of each cell",
            x_axis="obedience: does it do what the prompt asks? 0 to 1",
            y_axis="identity: is it the same person? 0 to 1",
            front=derive.pareto_front(verdict.cells),
        )
    )


def tilt(rows: Sequence[TiltRow]) -> Markup:
    """The rolls of training pictures, of the seeds alone and of the LoRA, version by version."""
    strips = [svg.Strip(f"{row.version} · {row.label}", row.rolls, row.kind) for row in rows]
    return Markup(
        svg.strips(strips, title="Head tilt before and after", axis="head tilt in degrees, + = clockwise on screen")
    )


def loss(training: TrainingSection) -> Markup:
    """The training loss, thin, and its running mean, thick."""
    points = derive.thinned(training.losses)
    raw = [(float(step), value) for step, value in points]
    return Markup(svg.line(raw, derive.smoothed(points), title="Training loss", x_axis="epoch", y_axis="loss"))


def heat_tables(cells: Sequence[CellScore]) -> list[HeatTable | None]:
    """Utility and what it is made of, epoch × weight."""
    return [
        derive.heat_table("Utility", cells, lambda cell: cell.utility),
        derive.heat_table("Identity", cells, lambda cell: cell.identity),
        derive.heat_table("Obedience", cells, lambda cell: cell.obedience),
        derive.heat_table(
            "Upright", cells, lambda cell: cell.figures["upright"].interval if "upright" in cell.figures else None
        ),
    ]


def metric_tables(verdict: VerdictSection) -> list[tuple[MetricRow, HeatTable]]:
    """Every other metric that was measured, epoch × weight, with what must be said beside it."""
    found = []
    for metric in verdict.metrics:
        if metric.name in {"identity", "obedience", "upright"}:
            continue
        figures = [figure for cell in verdict.cells if (figure := cell.figures.get(metric.name))]
        measured, pictures = (sum(getattr(f, name) for f in figures) for name in ("measured", "pictures"))
        counted = "" if measured == pictures else f"; {measured} of {pictures} pictures have a number"
        table = derive.heat_table(
            metric.name,
            verdict.cells,
            lambda cell, name=metric.name: cell.figures[name].interval if name in cell.figures else None,  # type: ignore[misc]
            tints=metric.tints,
            note=("rate" if metric.is_rate else metric.unit) + counted,
            digits=0 if metric.is_rate else metric.digits,
            percent=metric.is_rate,
        )
        if table:
            found.append((metric, table))
    return found


def by_cell(observations: Sequence[Observed]) -> list[tuple[CellScore, list[Observed]]]:
    """Observations under their cell, the baseline first, then epoch by epoch."""
    ordered = sorted(observations, key=lambda o: (o.epoch or 0, o.weight or 0.0))
    found: dict[tuple[int | None, float | None], list[Observed]] = {}
    for observed in ordered:
        found.setdefault((observed.epoch, observed.weight), []).append(observed)
    return [(CellScore(*place), observations) for place, observations in found.items()]


def _ends(interval: Interval) -> tuple[float, float] | None:
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)
