"""What is other in a grid than it was: which cells, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from orchestrator.grid.cells import Grid
from orchestrator.grid.changes import changes, differences, places_in_words
from orchestrator.grid.manifest import Axis, Entry, Manifest
from orchestrator.render.recipe import LoraUse, Recipe
from tests.unit.grid_manifests import grid_of, manifests

AXES = (
    Axis("epoch", "epoch", ("20", "40"), lora=True),
    Axis("weight", "weight", ("0.6", "0.8", "1"), lora=True),
    Axis("seed", "seed", ("1", "2")),
)


def recipe(epoch: str, weight: str, seed: str, **changes: object) -> Recipe:
    stem, sha = f"ai_model_v4-0000{epoch}-{epoch}abcd", epoch * 32
    return Recipe(
        "ai_model_v4, smile", loras=(LoraUse(stem, sha, sha[:12], float(weight)),), seed=int(seed),
        checkpoint="tiny [f3d717ddd8]", checkpoint_hash="f3d717ddd8", server_version="A1111 v1.10.1",
    ).evolve(**changes)  # fmt: skip


def manifest() -> Manifest:
    cells = [
        Entry((e, w, s), f"{e} {w} {s}", "ready", f"pictures/{e}{w}{s}.png", made.key, recipe=made.to_dict())
        for e, epoch in enumerate(AXES[0].values)
        for w, weight in enumerate(AXES[1].values)
        for s, seed in enumerate(AXES[2].values)
        for made in [recipe(epoch, weight, seed)]
    ]
    return Manifest("faces", "t", False, {}, AXES, 1, 0, False, {}, tuple(cells))


def with_recipes(grid: Grid, **changed: object) -> Grid:
    return replace(grid, cells=tuple(replace(cell, recipe=cell.recipe.evolve(**changed)) for cell in grid.cells))


def always(_: Recipe) -> bool:
    return True


@given(manifests())
def test_a_grid_held_against_itself_changes_nothing(manifest: Manifest) -> None:
    found = changes(manifest, grid_of(manifest), always)
    assert (found.cells, found.gone) == ((), ())
    assert found.unchanged == sum(entry.recipe is not None for entry in manifest.cells)


def test_a_lora_trained_again_changes_its_row_alone() -> None:
    old = manifest()
    grid = grid_of(old)
    again = LoraUse("ai_model_v4-000040-99ff00", "99ff" * 16, "99ff99ff99ff", 1.0)
    cells = tuple(
        replace(cell, recipe=cell.recipe.evolve(loras=(replace(again, weight=cell.recipe.loras[0].weight),)))
        if cell.at[0] == 1
        else cell
        for cell in grid.cells
    )
    found = changes(old, replace(grid, cells=cells), always)
    assert {change.at[0] for change in found.cells} == {1}
    assert found.lines() == ["6 cells (epoch 40): LoRA retrained (ai_model_v4-000040): was 4040404040, is 99ff99ff99"]
    assert found.unchanged == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server_version": "A1111 v1.11"}, "A1111 version other: was A1111 v1.10.1, is A1111 v1.11"),
        (
            {"checkpoint_hash": "0123456789", "checkpoint": "other"},
            "checkpoint other: was tiny [f3d717ddd8], is other [0123456789]",
        ),
        ({"vae_hash": "abc", "vae": "v.pt"}, "VAE other: was none, is v.pt [abc]"),
        ({"settings_hash": "ab" * 32}, "the webui's settings other: was none, is ababababab"),
        ({"prompt": "ai_model_v4, frown"}, "prompt other: was ai_model_v4, smile, is ai_model_v4, frown"),
        ({"seed": 7}, "seed other"),
        ({"steps": 30, "cfg_scale": 7.5}, "steps other: was 28, is 30; CFG other: was 6, is 7.5"),
        ({"loras": ()}, "LoRA other"),
    ],
)
def test_every_difference_is_named(change: dict[str, object], words: str) -> None:
    old = manifest()
    lines = "\n".join(changes(old, with_recipes(grid_of(old), **change), always).lines())
    assert words in lines
    assert recipe("20", "1", "1").key != recipe("20", "1", "1").evolve(**change).key


def test_pictures_that_are_gone_or_were_never_made() -> None:
    old = manifest()
    cells = (replace(old.cells[0], state="failed", picture="", reason="out of memory"), *old.cells[1:])
    found = changes(replace(old, cells=cells), grid_of(old), lambda recipe: recipe.seed == 2)
    told = {change.at: str(change.reasons[0]) for change in found.cells}
    assert told[0, 0, 0] == "not made last time: was out of memory"
    assert told[0, 1, 0] == "its picture is not here"
    assert (0, 0, 1) not in told


def test_cells_are_matched_by_value_and_not_by_place() -> None:
    old = manifest()
    grid = grid_of(old)
    axes = (AXES[2], AXES[0], replace(AXES[1], values=("0.8", "1", "1.2")))
    cells = []
    for s, seed in enumerate(axes[0].values):
        for e, epoch in enumerate(axes[1].values):
            for w, weight in enumerate(axes[2].values):
                cells.append(replace(grid.cells[0], at=(s, e, w), recipe=recipe(epoch, weight, seed)))
    found = changes(old, replace(grid, axes=axes, cells=tuple(cells)), always)
    assert found.lines() == ["4 cells (weight 1.2): new in the grid", "4 no longer in the grid: 0 0 0, 0 0 1, 1 0 0 …"]


def test_places_in_words() -> None:
    every = [(e, w, s) for e in range(2) for w in range(3) for s in range(2)]
    assert places_in_words(AXES, every) == ""
    assert places_in_words(AXES, [(0, 0, 1), (0, 2, 1)]) == "epoch 20, weight 0.6 and 1, seed 2"
    assert places_in_words(AXES, [(None, None, 0)]) == "no LoRA, seed 1"
    assert places_in_words(AXES, [(None, None, 0), (1, 0, 0)]) == "no LoRA and epoch 40, no LoRA and weight 0.6, seed 1"
    assert places_in_words(AXES, []) == ""


def test_a_long_prompt_is_told_where_it_differs() -> None:
    was, now = recipe("20", "1", "1", prompt="a, " * 60 + "red"), recipe("20", "1", "1", prompt="a, " * 60 + "blue")
    reason = differences(was, now)[0]
    assert reason.was.endswith("red")
    assert reason.now.endswith("blue")
    assert len(reason.was) < 70
