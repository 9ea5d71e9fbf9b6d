"""Which cells a grid has, in which order, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from orchestrator.errors import InputError
from orchestrator.grid.cells import Grid, cost, plan
from orchestrator.profile.model import Excluded, GridPlan
from orchestrator.render.recipe import LoraUse, Recipe


@dataclass(frozen=True)
class File:
    epoch: int
    sha256: str


@dataclass(frozen=True)
class Deployed:
    lora: File
    stem: str
    shown_hash: str


LORAS = [Deployed(File(e, f"{e:064d}"), f"miku_v1-{e:06d}", f"{e:012d}") for e in (20, 10, 30)]


def make_recipe(prompt: str, seed: int, loras: tuple[LoraUse, ...]) -> Recipe:
    return Recipe(prompt=prompt, seed=seed, loras=loras)


def planned(**changes: object) -> Grid:
    values = {"name": "face", "prompt": "{trigger}, close-up", "seeds": (7, 3), "weights": (0.4, 0.8), **changes}
    grid_plan = GridPlan.model_validate(values)
    return plan(
        grid_plan, LORAS, make_recipe, trigger="miku_v1", fill=lambda text: text.replace("{trigger}", "miku_v1")
    )


def test_the_baseline_comes_first_then_epoch_by_epoch() -> None:
    grid = planned()
    places = [(cell.epoch, cell.weight, cell.seed) for cell in grid.cells]
    assert places[:2] == [(None, None, 7), (None, None, 3)]
    assert [epoch for epoch, _, _ in places[2:]] == [10] * 4 + [20] * 4 + [30] * 4
    assert places[2:6] == [(10, 0.4, 7), (10, 0.4, 3), (10, 0.8, 7), (10, 0.8, 3)]


def test_the_baseline_has_neither_lora_nor_trigger_and_the_cells_have_both() -> None:
    grid = planned()
    bare = grid.cell(None, None, 7).recipe
    drawn = grid.cell(20, 0.8, 3).recipe
    assert bare == Recipe(prompt="close-up", seed=7)
    assert drawn is not None
    assert drawn.prompt == "miku_v1, close-up"
    assert drawn.loras == (LoraUse("miku_v1-000020", LORAS[0].lora.sha256, LORAS[0].shown_hash, 0.8),)


def test_left_out_cells_keep_their_place_and_say_why() -> None:
    grid = planned(exclude=(Excluded(epoch_up_to=20, weight_up_to=0.4),))
    assert grid.cell(20, 0.4, 7).left_out == "epoch ≤ 20 and weight ≤ 0.4"
    assert grid.cell(20, 0.4, 7).recipe is None
    assert not grid.cell(30, 0.4, 7).left_out
    assert len(grid.recipes) == 2 + 12 - 4


def test_an_epoch_that_was_not_deployed_is_named_with_those_that_were() -> None:
    with pytest.raises(InputError, match="epoch 40") as caught:
        planned(epochs=(10, 40))
    assert "10, 20, 30" in caught.value.cause


def test_file_names_differ_in_every_cell() -> None:
    grid = planned(weights=(0.8, 0.85, -0.8, 1.0), seeds=(1, 2**63 - 1))
    assert len({cell.stem for cell in grid.cells}) == len(grid.cells)


@pytest.mark.parametrize(
    ("made", "seconds", "words"),
    [
        (0, None, "14 pictures"),
        (2, None, "14 pictures, 2 of them already made"),
        (14, 30, "14 pictures, all already made"),
        (2, 30, "14 pictures, 2 of them already made, ~6 min for the rest"),
        (0, 600, "14 pictures, ~2 h 20 min"),
    ],
)
def test_the_price_is_said_before_it_is_paid(made: int, seconds: float | None, words: str) -> None:
    grid = planned()
    keys = {recipe.key for recipe in grid.recipes[:made]}
    assert cost([grid, grid], lambda recipe: recipe.key in keys, seconds) == words
