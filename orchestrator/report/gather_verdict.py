"""The evaluation's records → the report's verdict, deciding pictures and scouting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.evaluation.metrics import METRICS, Metric
from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.scout import ScoutResult, SeedScouted
from orchestrator.evaluation.statistics import Interval
from orchestrator.evaluation.verdict import CellResult, Verdict
from orchestrator.evaluation.votes.taste import Taste
from orchestrator.render.cache import PictureCache
from orchestrator.report import content


def observed(observation: Observation, cache: PictureCache) -> content.Observed:
    """One observation with the provenance of its picture."""
    cell = observation.cell
    recipe = cache.proof(observation.key).get("recipe") or {}
    name = "no LoRA" if cell.is_baseline else f"epoch {cell.epoch}, weight {cell.weight:g}"
    return content.Observed(
        epoch=cell.epoch,
        weight=None if cell.is_baseline else cell.weight,
        round=observation.round,
        seed=observation.seed,
        picture=content.ReportPicture(
            Path(observation.path) if observation.path else None,
            f"{name}, {observation.round}, seed {observation.seed}",
            {**recipe, "cache_key": observation.key},
            observation.error,
        ),
        identity=observation.identity,
        obedience=observation.obedience,
        roll_deg=observation.roll_deg,
        face_found=observation.face_found,
    )


def section(verdict: Verdict, stems: Mapping[int, str]) -> content.VerdictSection:
    """The verdict as the report shows it. `stems`: epoch → the name to paste."""
    headline, *more = verdict.sentences or ("Not measured.",)
    best = verdict.recommended
    use = (
        f"<lora:{stems[best.epoch]}:{best.weight:g}>" if best and best.epoch is not None and best.epoch in stems else ""
    )
    results = [*verdict.cells, *([verdict.baseline] if verdict.baseline else [])]
    shares = " + ".join(f"{share:.2g} × {name}" for name, share in (verdict.shares or {}).items())
    return content.VerdictSection(
        headline=headline,
        sentences=tuple(more),
        cells=tuple(_score(result, verdict) for result in results),
        trade_offs=verdict.trade_offs,
        utility_words=f"utility = {shares}" if shares else "",
        confidence=verdict.confidence,
        use_this=use,
        rule=verdict.rule,
        metrics=tuple(_metric(metric) for metric in METRICS),
        looks=_looks(verdict),
        finalists=_finalists(verdict),
    )


def _score(result: CellResult, verdict: Verdict) -> content.CellScore:
    return content.CellScore(
        epoch=result.cell.epoch,
        weight=None if result.cell.is_baseline else result.cell.weight,
        utility=_interval(result.utility),
        identity=_interval(result.identity),
        obedience=_interval(result.obedience),
        roll_mean=result.roll_mean,
        roll_sd=result.roll_sd,
        face_rate=result.faces.count / result.faces.of if result.faces and result.faces.of else None,
        pictures=result.drawn.count if result.drawn else 0,
        may_be_best=result.may_be_best,
        leader=result.cell == verdict.recommended,
        gated=result.out,
        left=result.left,
        figures={
            figure.metric: content.Figure(
                content.Interval(figure.mean, figure.low, figure.high), figure.measured, figure.pictures
            )
            for figure in result.figures
        },
    )


def _metric(metric: Metric) -> content.MetricRow:
    low, high = metric.range
    # Of numbers without a scale of their own: how far from straight ahead, or between those there are.
    tints = (0.0, 20.0) if metric.unit == "°" else (0.0, 1.0) if (low, high) == (0.0, 1.0) else None
    is_rate = metric.kind == "yes or no"
    return content.MetricRow(metric.name, metric.unit, metric.source, metric.fails, metric.digits, is_rate, tints)


def _looks(verdict: Verdict) -> tuple[content.LookRow, ...]:
    race = verdict.race
    if race is None:
        return ()
    rows = [
        content.LookRow(f"look {number}", f"first {look.seeds}", look.cells, len(look.left))
        for number, look in enumerate(race.looks, start=1)
    ]
    if race.fresh:
        rows.append(content.LookRow("confirmation", f"{len(race.fresh)} fresh", len(race.finalists), 0))
    return tuple(rows)


#: Rows of pictures side by side; more are not looked at.
_MOST_FINALISTS = 4


def _finalists(verdict: Verdict) -> tuple[tuple[int, float], ...]:
    """The recommended cell, the race's finalists, else the best of those that may be best."""
    by_utility = sorted(verdict.cells, key=lambda r: -(r.utility.mean if r.utility else 0.0))
    wished = [
        verdict.recommended,
        *(verdict.race.finalists if verdict.race else ()),
        *(r.cell for r in by_utility if r.may_be_best),
    ]
    cells = [cell for cell in dict.fromkeys(wished) if cell is not None]
    return tuple((cell.epoch, cell.weight) for cell in cells if cell.epoch is not None)[:_MOST_FINALISTS]


def votes(taste: Taste | None) -> content.VotesSection | None:
    """The votes as the report shows them; None when nobody voted."""
    if taste is None or not taste.votes:
        return None
    return content.VotesSection(
        taste.sentences,
        tuple((one.cell.label, f"{one.wins:g} of {one.votes}", one.strength.percent) for one in taste.liked),
        tuple((one.metric, one.share.percent, one.decided) for one in taste.agreements),
    )


def _interval(interval: Interval | None) -> content.Interval | None:
    if interval is None:
        return None
    if interval.low is None or interval.high is None:
        return content.Interval(interval.mean, None, None)
    # A t interval knows nothing of the scale's ends; beyond them no value exists.
    return content.Interval(interval.mean, max(interval.low, 0.0), min(interval.high, 1.0))


def deciding(
    verdict: Verdict, found: Sequence[content.Observed], training: Path | None
) -> tuple[content.DecidingPicture, ...]:
    """The recommended cell, another that may be best, and the baseline, all at the same round and seed; and a training
    picture.
    """
    place = _typical_place(verdict.recommended, found)
    by_utility = sorted(verdict.cells, key=lambda result: -(result.utility.mean if result.utility else 0.0))
    other = next((r.cell for r in by_utility if r.may_be_best and r.cell != verdict.recommended), None)
    shown = []
    for role, cell in (("winner", verdict.recommended), ("also possible", other), ("no LoRA", CellId(None, 0.0))):
        picture = next((f for f in found if cell and _is(f, cell) and (f.round, f.seed) == place), None)
        if picture and cell:
            caption = f"{cell.label[0].upper()}{cell.label[1:]}: {picture.round}, seed {picture.seed}"
            shown.append(content.DecidingPicture(role, picture.picture, caption))
    if training:
        shown.append(
            content.DecidingPicture(
                "training picture", content.ReportPicture(training, "training picture"), "What it learned from"
            )
        )
    return tuple(shown)


def _typical_place(cell: CellId | None, found: Sequence[content.Observed]) -> tuple[str, int] | None:
    """Round and seed of the cell's middle picture by identity + obedience: neither its luckiest nor its worst."""
    ours = [each for each in found if cell and _is(each, cell) and not each.picture.error]
    ranked = sorted(ours, key=lambda each: (each.identity or 0.0) + (each.obedience or 0.0))
    return (ranked[len(ranked) // 2].round, ranked[len(ranked) // 2].seed) if ranked else None


def _is(each: content.Observed, cell: CellId) -> bool:
    return each.epoch == cell.epoch and (cell.is_baseline or each.weight == cell.weight)


def scouting(
    result: ScoutResult | None, rounds: Sequence[str], cache: PictureCache | None = None
) -> content.ScoutSection | None:
    """The scouted seeds as the report shows them, each with its picture of the first round."""
    if result is None:
        return None
    seeds = tuple(
        content.ScoutedSeed(
            seed=each.seed,
            kept=each.kept,
            picture=_scouted(each, cache),
            obedience=tuple(1.0 if name in each.obeyed else 0.0 if name in each.failed else None for name in rounds),
        )
        for each in result.candidates
    )
    return content.ScoutSection(" ".join(result.sentences), tuple(rounds), seeds)


def _scouted(each: SeedScouted, cache: PictureCache | None) -> content.ReportPicture | None:
    name, key = next(iter(each.pictures.items()), ("", ""))
    if cache is None or not key or not cache.has(key):
        return None
    recipe = cache.proof(key).get("recipe") or {}
    return content.ReportPicture(
        cache.picture(key), f"no LoRA, {name}, seed {each.seed}", {**recipe, "cache_key": key, "scouted": each.reason}
    )
