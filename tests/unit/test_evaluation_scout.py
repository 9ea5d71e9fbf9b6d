"""Which seeds are kept for the rounds, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.evaluation.scout import Look, ScoutResult, by_hand, choose, scout
from orchestrator.evaluation.scout_sheet import scout_sheet
from orchestrator.grid.contact_sheet import draw_contact_sheet
from orchestrator.profile.model import Profile, Round, Scouting
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import OnPicture, Picture
from orchestrator.render.recipe import LoraUse, Recipe

ROUNDS = ("raised", "crossed", "hip")


def looks(answers: dict[int, str]) -> dict[tuple[str, int], Look]:
    """`y`, `n`, `?` per round; a capital Y is surer."""
    meaning = {"Y": Look(True, 0.9), "y": Look(True, 0.6), "n": Look(False, 0.1), "?": Look(None, why="500")}
    return {(name, seed): meaning[a] for seed, text in answers.items() for name, a in zip(ROUNDS, text, strict=True)}


def test_seeds_that_obey_everything_come_first_then_those_that_obey_most() -> None:
    answers = {1: "nnn", 2: "yyn", 3: "YYY", 4: "yyy", 5: "ynn", 6: "YYn"}
    result = choose(list(answers), ROUNDS, looks(answers), keep=3)
    assert result.seeds == (3, 4, 6)
    assert result.enough
    by_seed = {c.seed: c for c in result.candidates}
    assert by_seed[2].reason == "obeys 2 of 3 rounds, not hip; enough others are surer"
    assert by_seed[1].reason == "obeys 0 of 3 rounds, not raised, crossed, hip"
    assert by_seed[3].reason == "obeys every round"
    said = "4 of 6 seeds obey most rounds without LoRA; the 3 surest are used, 2 of them obey every round."
    assert result.sentences == (said,)


def test_fewer_seeds_than_asked_for_is_said_plainly() -> None:
    answers = {1: "nnn", 2: "yyy", 3: "ynn"}
    result = choose(list(answers), ROUNDS, looks(answers), keep=8)
    assert result.seeds == (2,)
    assert not result.enough
    assert "Fewer seeds obey than were asked for (1 of 8)" in result.sentences[1]


def test_no_seed_obeys() -> None:
    answers = {1: "nnn", 2: "nnn"}
    result = choose(list(answers), ROUNDS, looks(answers), keep=2)
    assert result.seeds == ()
    assert result.measured


def test_a_round_nobody_can_judge_turns_no_seed_away() -> None:
    answers = {1: "yy?", 2: "yn?", 3: "yy?"}
    result = choose(list(answers), ROUNDS, looks(answers), keep=2)
    assert result.seeds == (1, 3)
    assert result.sentences[-1] == "Not measured: hip."


def test_a_picture_that_failed_keeps_its_seed_out() -> None:
    answers = {1: "yyy", 2: "y?y"}
    result = choose(list(answers), ROUNDS, looks(answers), keep=2)
    assert result.seeds == (1,)
    assert result.candidates[1].reason == "could not be judged in crossed"


def test_without_a_judge_the_first_seeds_are_taken_and_it_is_said() -> None:
    answers = {5: "???", 6: "???", 7: "???"}
    result = choose(list(answers), ROUNDS, looks(answers), keep=2)
    assert result.seeds == (5, 6)
    assert not result.measured
    assert result.sentences == ("Obedience was not measured (500): the first 2 seeds are used as they come.",)


def test_each_rounds_rate_has_its_interval() -> None:
    answers = dict.fromkeys(range(6), "yyn") | {0: "nyn", 1: "nyn"}
    raised, crossed, hip = choose(list(answers), ROUNDS, looks(answers), keep=3).rates
    assert (raised.obeyed, raised.measured) == (4, 6)
    assert raised.low < 0.31
    assert raised.high > 0.9
    assert crossed.high == 1.0
    assert hip.low == 0.0


@given(st.dictionaries(st.integers(0, 99), st.text("Yyn?", min_size=3, max_size=3), min_size=1), st.integers(1, 8))
def test_a_choice_keeps_its_rules_and_survives_json(answers: dict[int, str], keep: int) -> None:
    result = choose(list(answers), ROUNDS, looks(answers), keep)
    assert len(result.seeds) <= keep
    assert list(result.seeds) == sorted(set(result.seeds))
    if result.measured:
        judged = [i for i in range(3) if any(text[i] != "?" for text in answers.values())]
        for seed in result.seeds:
            obeyed = sum(answers[seed][i] in "yY" for i in judged)
            assert 2 * obeyed > len(judged)
    assert ScoutResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


class Drawn:
    """Stands for the renderer: every recipe becomes a picture, one fails."""

    def __init__(self, failing_seed: int) -> None:
        self.recipes: list[Recipe] = []
        self.failing_seed = failing_seed

    def render(self, recipes: list[Recipe], on_picture: OnPicture | None = None) -> list[Picture]:  # type: ignore[override]
        self.recipes = list(recipes)
        return [
            Picture(Path(recipe.key), recipe, recipe.key, error="refused" if recipe.seed == self.failing_seed else "")
            for recipe in recipes
        ]


def test_scouting_draws_every_seed_without_lora_and_trigger() -> None:
    profile = Profile()
    rounds = [
        Round(name="raised", prompt="{trigger}, upper body, hand raised", expects="hand raised"),
        Round(name="smile", prompt="a photo of ({trigger}:1.2), smile", expects="smile"),
    ]
    drawn = Drawn(failing_seed=102)

    def make(prompt: str, seed: int, loras: tuple[LoraUse, ...]) -> Recipe:
        return Recipe(prompt, loras=loras, seed=seed)

    def look_at(pictures: list[tuple[Picture, Round]]) -> list[Look]:
        return [Look(picture.recipe.seed != 101, 0.5) for picture, _ in pictures]

    result = scout(
        rounds,
        Scouting(candidates=4, first_seed=100, keep=2),
        make,
        drawn,  # type: ignore[arg-type]
        look_at,  # type: ignore[arg-type]
        trigger=profile.trigger,
        fill=profile.fill,
    )
    assert len(drawn.recipes) == 8
    assert all(not recipe.loras and profile.trigger not in recipe.prompt for recipe in drawn.recipes)
    assert drawn.recipes[0].prompt == "upper body, hand raised"
    assert result.seeds == (100, 103)
    assert result.candidates[2].reason == "could not be judged in raised, smile"


@pytest.mark.parametrize("keep", [2, 5])
def test_the_same_answers_keep_the_same_seeds(keep: int) -> None:
    answers = dict.fromkeys(range(10), "yyy")
    assert choose(list(answers), ROUNDS, looks(answers), keep).seeds == tuple(range(keep))


def test_seeds_chosen_by_hand_leave_the_others_as_fresh_ones() -> None:
    looked = {("up", seed): Look(seed % 2 == 0, 0.5) for seed in range(10)}
    result = choose(range(10), ["up"], looked, keep=3)
    assert (result.seeds, result.reserve) == ((0, 2, 4), (6, 8))
    chosen = by_hand(result, [9, 2, 2])
    assert (chosen.seeds, chosen.reserve) == ((2, 9), (0, 4, 6, 8))
    assert [each.seed for each in chosen.candidates if each.kept] == [2, 9]
    assert chosen.sentences == ("2 of 10 seeds were chosen by hand.",)
    with pytest.raises(InputError, match="Not scouted: 77"):
        by_hand(result, [2, 77])
    with pytest.raises(InputError, match="No seed"):
        by_hand(result, [])


def test_the_sheet_shows_kept_seeds_first_and_who_obeys(tmp_path: Path) -> None:
    looked = {(name, seed): Look(seed > 1, 0.5) for name in ("up", "hip") for seed in range(15)}
    result = choose(range(15), ["up", "hip"], looked, keep=3)
    sheet = scout_sheet(result, PictureCache(tmp_path))
    assert [len(row.tiles) for row in sheet.rows] == [12, 12, 3, 3]
    assert [row.label for row in sheet.rows] == ["up", "hip", "up", "hip"]
    first = [tile for tile in sheet.rows[0].tiles if tile]
    assert [(tile.number, tile.note, tile.marks) for tile in first[:4]] == [
        ("2", "kept", ("hit",)), ("3", "kept", ("hit",)), ("4", "kept", ("hit",)), ("0", "", ("miss",)),
    ]  # fmt: skip
    assert draw_contact_sheet(sheet).width > 1000
