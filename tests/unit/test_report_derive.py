"""What a report works out: heat tables, the Pareto front, the ranking, the smoothed loss."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report import derive
from orchestrator.report.content import CellScore, Interval, Observed, ReportPicture


def score(epoch: int | None, weight: float | None, identity: float, obedience: float, *, gated: str = "") -> CellScore:
    def at(mean: float) -> Interval:
        return Interval(mean, mean, mean)

    return CellScore(epoch, weight, at((identity + obedience) / 2), at(identity), at(obedience), gated=gated)


def seen(epoch: int | None, weight: float | None, name: str, obedience: float | None) -> Observed:
    return Observed(epoch, weight, name, 1, ReportPicture(Path("a.png"), "a"), obedience=obedience)


def test_rounds_become_tables_of_means_with_their_baseline() -> None:
    found = [
        seen(None, None, "arms crossed", 0.9), seen(10, 0.8, "arms crossed", 0.2), seen(10, 0.8, "arms crossed", 0.6),
        seen(20, 1.0, "arms crossed", None), seen(10, 0.8, "hand raised", 1.0),
    ]  # fmt: skip
    crossed, raised = derive.round_tables(found, [CellScore(10, 0.8, may_be_best=True)])
    assert (crossed.title, crossed.weights, crossed.baseline) == ("arms crossed", (0.8, 1.0), 0.9)
    (_, (first, missing)), (_, (_, unmeasured)) = crossed.rows
    assert abs((first.value or 0) - 0.4) < 1e-9
    assert first.mark
    assert (missing.value, missing.note) == (None, "not drawn")
    assert (unmeasured.value, unmeasured.note) == (None, "not measured")
    assert raised.baseline is None


def test_finalists_stand_beside_each_other_on_all_seeds_of_the_first() -> None:
    def at(epoch: int | None, weight: float | None, seed: int) -> Observed:
        return Observed(epoch, weight, "hip", seed, ReportPicture(Path(f"{epoch}-{seed}.png"), "a"))

    found = [at(40, 0.8, seed) for seed in range(10)] + [at(60, 0.6, seed) for seed in range(4)] + [at(None, None, 0)]
    first, second = derive.side_by_side(found, [(40, 0.8), (60, 0.6)])
    assert (first.round, first.seeds) == ("hip", tuple(range(5))), "two tables of one length"
    assert [name for name, _ in first.rows] == ["epoch 40, weight 0.8", "epoch 60, weight 0.6", "no LoRA"]
    assert [seen is None for seen in first.rows[1][1]] == [False] * 4 + [True]
    assert (second.round, second.seeds) == ("", tuple(range(5, 10)))
    assert [name for name, _ in second.rows] == ["epoch 40, weight 0.8"], "a row without a picture says nothing"
    assert derive.side_by_side(found, []) == []


def test_a_heat_table_has_intervals_and_leads_to_the_pictures() -> None:
    cells = [CellScore(10, 0.8, utility=Interval(0.5, 0.4, 0.6), left="left the race"), CellScore(None, None)]
    table = derive.heat_table("Utility", cells, lambda cell: cell.utility, tints=(0.0, 2.0))
    assert table is not None
    ((_, (cell,)),) = table.rows
    assert (cell.value, cell.ends, cell.anchor, cell.shade) == (0.5, (0.4, 0.6), "cell-10-0.8", 0.25)
    assert cell.note == "left the race"
    assert not cell.gated


def test_no_measurement_gives_no_table() -> None:
    assert derive.round_tables([seen(10, 0.8, "hand raised", None)]) == []
    assert derive.heat_table("Identity", [CellScore(10, 0.8)], lambda cell: None) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_nothing_on_the_front_is_beaten_and_everything_else_is(places: list[tuple[int, int]]) -> None:
    cells = [score(10, 0.5, identity / 10, obedience / 10) for obedience, identity in places]
    front = derive.pareto_front(cells)
    everything = {(o / 10, i / 10) for o, i in places}

    def beaten(point: tuple[float, float]) -> bool:
        return any(o >= point[0] and i >= point[1] and (o, i) != point for o, i in everything)

    assert set(front) == {point for point in everything if not beaten(point)}
    assert front == sorted(front)


def test_gated_cells_and_the_baseline_are_in_no_ranking() -> None:
    cells = [
        score(10, 0.5, 0.4, 0.4),
        score(20, 0.5, 0.9, 0.9, gated="no faces"),
        score(None, None, 1, 1),
        score(30, 0.5, 0.6, 0.6),
    ]
    assert [cell.epoch for cell in derive.ranked(cells)] == [30, 10]
    assert len(derive.pareto_front(cells)) == 1


def test_a_long_loss_is_thinned_to_its_means() -> None:
    points = [(step, float(step % 2)) for step in range(1000)]
    thin = derive.thinned(points, 100)
    assert len(thin) == 100
    assert all(value == 0.5 for _, value in thin)
    assert derive.thinned(points[:3], 100) == points[:3]
    assert [value for _, value in derive.smoothed([(1, 1.0), (2, 1.0), (3, 1.0)])] == [1.0, 1.0, 1.0]
