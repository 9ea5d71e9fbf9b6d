"""The race: what is asked for at each look, the budget, the confirmation, and what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.racing import looks_of, most_pictures, run_race
from orchestrator.evaluation.verdict import Verdict
from orchestrator.profile.model import Racing
from tests.evaluation.worlds import CELLS, PLAN, World, make_world

SEEDS, FRESH = tuple(range(24)), tuple(range(100, 116))


class Watched:
    """A world that remembers what it was asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[Mapping[CellId, Sequence[int]]] = []

    def see(self, asked: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        self.asked.append({cell: tuple(seeds) for cell, seeds in asked.items()})
        return self.world.see(asked)

    @property
    def pictures(self) -> int:
        """Different pictures asked for in all."""
        places = {(cell, seed) for asked in self.asked for cell, seeds in asked.items() for seed in seeds}
        return len(places) * len(self.world.rounds)


def raced(
    world: World | Watched, rules: Racing | None = None, *, seeds: Sequence[int] = SEEDS, fresh: Sequence[int] = FRESH
) -> Verdict:
    rounds = (world.world if isinstance(world, Watched) else world).rounds
    return run_race(CELLS, seeds, fresh, len(rounds), rules or Racing(), PLAN, world.see)


@pytest.fixture(scope="module")
def spike() -> World:
    world = make_world(4, 2, "spike")
    best = max(CELLS, key=world.utility)
    return replace(
        world,
        identity={cell: 0.8 if cell == best else 0.6 for cell in CELLS},
        obedience={cell: 0.8 if cell == best else 0.7 for cell in CELLS},
        _drawn={},
    )


def test_looks_go_up_in_steps_to_the_seeds_there_are() -> None:
    assert looks_of(24, Racing()) == [4, 8, 12, 16, 20, 24]
    assert looks_of(9, Racing()) == [4, 8, 9]
    assert looks_of(2, Racing()) == [2]


def test_only_what_may_be_best_is_drawn_further_and_the_winner_is_confirmed_on_fresh_seeds(spike: World) -> None:
    watched = Watched(spike)
    verdict = raced(watched)
    best = max(CELLS, key=spike.utility)
    assert verdict.outcome == "single best"
    assert verdict.recommended == verdict.leader == best
    assert verdict.may_be_best == (best,)
    first, *_, last = watched.asked
    assert {cell: tuple(seeds) for cell, seeds in first.items()} == dict.fromkeys((*CELLS, BASELINE), SEEDS[:4])
    race = verdict.race
    assert race is not None
    assert race.fresh == FRESH
    assert {cell for cell, seeds in last.items() if set(FRESH) <= set(seeds)} == {*race.finalists, BASELINE}
    assert race.pictures == watched.pictures < 800
    assert "It is the single best of 28 cells: " in verdict.sentences[1]
    assert "16 fresh seeds confirm it over epoch " in verdict.sentences[1]
    gone = [result for result in verdict.cells if result.left]
    assert len(gone) >= 20
    assert gone[0].left.startswith("left the race after ")
    assert not any(result.may_be_best for result in gone)
    assert Verdict.from_dict(verdict.to_dict()) == verdict


@pytest.mark.parametrize("why", ["no seeds", "not wanted", "no budget"])
def test_without_a_confirmation_nothing_is_called_the_single_best(spike: World, why: str) -> None:
    rules = Racing(confirm=0) if why == "not wanted" else Racing(budget=370) if why == "no budget" else Racing()
    verdict = raced(spike, rules, fresh=FRESH[:2] if why == "no seeds" else FRESH)
    assert verdict.outcome == "may be best"
    assert verdict.race is not None
    assert verdict.race.unconfirmed in verdict.sentences[1]
    assert "single best of" not in verdict.text
    expected = {
        "no seeds": "it needs 4 fresh seeds that obey, and scouting left 2",
        "not wanted": "the profile asks for no confirmation",
        "no budget": "the budget of pictures left none for it",
    }
    assert verdict.race.unconfirmed == expected[why]


@pytest.mark.parametrize("budget", [500, 640, 900, 1500])
@pytest.mark.parametrize("kind", ["equal", "rough"])
def test_the_budget_holds_whatever_the_world(kind: str, budget: int) -> None:
    watched = Watched(make_world(1, 6, kind))
    verdict = raced(watched, Racing(budget=budget))
    assert verdict.race is not None
    assert verdict.race.pictures == watched.pictures <= budget
    assert verdict.race.pictures <= most_pictures(28, 24, 16, len(watched.world.rounds), Racing(budget=budget))


def test_cells_the_budget_left_behind_may_still_be_best_and_it_is_said() -> None:
    verdict = raced(make_world(1, 6, "equal"), Racing(budget=640))
    assert verdict.race is not None
    assert verdict.race.set_aside
    assert {*verdict.race.set_aside} <= {*verdict.may_be_best}
    assert verdict.outcome == "may be best"
    assert "The budget of 640 pictures ended the race early." in verdict.sentences[1]


def test_the_first_look_is_drawn_even_over_the_budget() -> None:
    watched = Watched(make_world(1, 6, "equal"))
    raced(watched, Racing(budget=10))
    assert len(watched.asked) == 1


def test_again_the_same_is_asked_for_and_the_same_said(spike: World) -> None:
    once, again = Watched(spike), Watched(spike)
    assert raced(once) == raced(again)
    assert once.asked == again.asked


def test_seeds_for_one_look_only_are_the_plain_design(spike: World) -> None:
    verdict = raced(spike, seeds=SEEDS[:4], fresh=())
    assert verdict.race is None
    assert verdict.outcome == "may be best"
    assert "It leads 28 cells with these 4 seeds, but is not called the single best" in verdict.text
    assert "not confirmed on fresh seeds: it needs 4 fresh seeds that obey, and scouting left 0; " in verdict.text


def test_nothing_measured_is_said_and_draws_no_further() -> None:
    asked = []

    def blind(wanted: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        asked.append(wanted)
        return [Observation(cell, "pose", seed) for cell, seeds in wanted.items() for seed in seeds]

    verdict = run_race(CELLS, SEEDS, FRESH, 1, Racing(), PLAN, blind, lambda: ("No tags: A1111 has no tagger.",))
    assert len(asked) == 1
    assert verdict.outcome == "not measured"
    assert verdict.recommended is None
    assert "No tags: A1111 has no tagger." in verdict.not_measured


def test_a_cell_that_loses_faces_leaves_only_when_that_is_no_chance(spike: World) -> None:
    best = max(CELLS, key=spike.utility)

    def faceless(wanted: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        return [
            replace(o, face_found=False, identity=None, roll_deg=None) if o.cell == best else o
            for o in spike.see(wanted)
        ]

    verdict = run_race(CELLS, SEEDS, FRESH, len(spike.rounds), Racing(), PLAN, faceless)
    result = verdict.result(best)
    assert result is not None
    assert result.out.startswith("a face in only 0 of ")
    assert result.faces is not None
    assert result.faces.of == 4 * len(spike.rounds)
    assert best not in verdict.may_be_best


def test_a_leader_that_was_only_lucky_is_not_confirmed_and_another_is_used(spike: World) -> None:
    lucky = max(CELLS, key=spike.utility)

    def fails_on_fresh_seeds(wanted: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        return [
            replace(o, identity=0.3, obedience=0.3) if o.cell == lucky and o.seed in FRESH else o
            for o in spike.see(wanted)
        ]

    verdict = run_race(CELLS, SEEDS, FRESH, len(spike.rounds), Racing(), PLAN, fails_on_fresh_seeds)
    race = verdict.race
    assert race is not None
    assert race.finalists[0] == lucky
    assert not race.confirmed
    assert verdict.outcome == "may be best"
    assert verdict.recommended != lucky
    second, third = race.finalists[1:]
    assert f"16 fresh seeds did not set {lucky.label} apart from {second.label} and {third.label}" in verdict.text
    assert verdict.recommended in verdict.may_be_best


@pytest.mark.parametrize("world", range(14))
def test_what_is_said_agrees_with_what_was_found(world: int) -> None:
    verdict = raced(make_world(9, world), Racing(budget=700))
    race = verdict.race
    assert race is not None
    assert len(verdict.sentences) == 2
    assert verdict.recommended is not None
    assert verdict.sentences[0].startswith(f"Use {verdict.recommended.label}")
    assert {verdict.recommended, verdict.leader} <= {*verdict.may_be_best}
    assert not {*verdict.may_be_best} & {result.cell for result in verdict.cells if result.left or result.out}
    if verdict.outcome == "single best":
        assert race.confirmed
        assert verdict.may_be_best == (verdict.recommended,)
    else:
        assert "worse" not in verdict.text
        many = "All" if len(verdict.may_be_best) == 28 else f"{len(verdict.may_be_best)} of"
        assert f"{many} 28 cells may be best with up to {race.looks[-1].seeds} seeds: " in verdict.sentences[1] or (
            "not called the single best" in verdict.sentences[1]
        )


def test_a_tight_budget_confirms_on_fewer_seeds_and_still_looks_twice() -> None:
    verdict = raced(make_world(1, 6, "equal"), Racing(budget=640))
    race = verdict.race
    assert race is not None
    assert 4 <= len(race.fresh) < 16
    assert len(race.looks) == 2
