"""The order of drawing: nothing is loaded twice, nothing with a LoRA before the baseline, the corners early."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.grid.cells import Grid
from orchestrator.grid.order import Loads, coarse, drawing_order, files, loads
from orchestrator.render.recipe import Recipe
from tests.unit.grid_plans import planned, stock


def cheapest(recipes: Sequence[Recipe]) -> Loads:
    """The fewest loads any order needs that has the pictures without LoRA first under each checkpoint and VAE: by
    trying all.
    """
    states = {(r.checkpoint_hash, r.vae_hash, r.vae, files(r)): r for r in recipes}
    best: Loads | None = None
    for order in itertools.permutations(states.values()):
        if not _baseline_first(order):
            continue
        cost = loads(order)
        best = cost if best is None or cost < best else best
    assert best is not None
    return best


def _baseline_first(order: Sequence[Recipe]) -> bool:
    seen: set[tuple[str, str]] = set()
    for recipe in order:
        model = (recipe.checkpoint_hash, recipe.vae_hash)
        if recipe.loras:
            seen.add(model)
        elif model in seen:
            return False
    return True


def models(checkpoints: int, vaes: int) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (f"c{c}", f"v{v}"): {"checkpoint": f"c{c}", "checkpoint_hash": f"c{c}", "vae": f"v{v}", "vae_hash": f"v{v}"}
        for c in range(checkpoints)
        for v in range(vaes)
    }


def grid_of(
    checkpoints: int, vaes: int, axes: list[tuple[str, str]], exclude: tuple[str, ...], *, baseline: bool
) -> Grid:
    asked = [
        ("checkpoint", ",".join(f"c{c}" for c in range(checkpoints))),
        ("vae", ",".join(f"v{v}" for v in range(vaes))),
        *axes,
        ("seed", "1-3"),
    ]
    return planned(*asked, of=stock(models=models(checkpoints, vaes)), exclude=exclude, baseline=baseline)


@given(
    checkpoints=st.integers(1, 2),
    vaes=st.integers(1, 2),
    epochs=st.integers(1, 3),
    baseline=st.booleans(),
    left_out=st.sampled_from(
        [(), ("epoch <= 10",), ("epoch == 20 and seed > 1", "epoch == 10 and checkpoint == 'c0'")]
    ),
)
@settings(max_examples=60, deadline=None)
def test_one_file_each_needs_the_fewest_loads(
    checkpoints: int, vaes: int, epochs: int, left_out: tuple[str, ...], *, baseline: bool
) -> None:
    if checkpoints * vaes * (epochs + baseline) > 8:
        epochs = 1
    axes = [("epoch", ",".join(str(10 * (k + 1)) for k in range(epochs)))]
    grid = grid_of(checkpoints, vaes, axes, left_out, baseline=baseline)
    order = drawing_order(grid)
    if order:
        assert loads(order) == cheapest(order)
        assert _baseline_first(order)


@given(epochs=st.integers(1, 3), others=st.sampled_from(["a", "a, b", "none, a", "a + b, c"]), baseline=st.booleans())
@settings(max_examples=30, deadline=None)
def test_full_products_of_two_loras_need_the_fewest_loads(epochs: int, others: str, *, baseline: bool) -> None:
    axes = [("epoch", ",".join(str(10 * (k + 1)) for k in range(epochs))), ("lora", others)]
    order = drawing_order(grid_of(1, 1, axes, (), baseline=baseline))
    assert loads(order) == cheapest(order)


def test_each_recipe_is_there_once_and_none_is_lost() -> None:
    grid = planned(("epoch", "all"), ("weight", "0, 0.4, 0.8"), ("seed", "1-5"))
    order = drawing_order(grid)
    assert {recipe.key for recipe in order} == {cell.recipe.key for cell in grid.cells if cell.recipe}
    assert len(order) == len({recipe.key for recipe in order})


def test_ends_come_before_the_middle_and_the_middle_before_the_rest() -> None:
    assert coarse(9) == (0, 8, 4, 2, 6, 1, 3, 5, 7)
    assert coarse(1) == (0,)
    assert coarse(2) == (0, 1)
    assert all(sorted(coarse(n)) == list(range(n)) for n in range(40))


def test_something_useful_is_visible_early() -> None:
    grid = planned(("epoch", "all"), ("weight", "0.2-1.0 [5]"), ("seed", "1"), of=stock(range(10, 90, 10)))
    order = drawing_order(grid)
    assert not order[0].loras
    epochs = list(dict.fromkeys(recipe.loras[0].stem for recipe in order if recipe.loras))
    assert epochs[:3] == ["v2-10", "v2-80", "v2-40"]
    assert [recipe.loras[0].weight for recipe in order[1:6]] == [0.2, 1.0, 0.6, 0.4, 0.8]
    assert loads(order).loras == 8


def test_without_lora_the_corners_of_the_sheet_come_first() -> None:
    grid = planned(("steps", "10-50 (+10)"), ("cfg", "2-10 (+2)"), ("seed", "1"))
    first = {(recipe.steps, recipe.cfg_scale) for recipe in drawing_order(grid)[:4]}
    assert first == {(10, 2.0), (10, 10.0), (50, 2.0), (50, 10.0)}


@pytest.mark.parametrize("checkpoints", [1, 3])
def test_a_checkpoint_is_loaded_once(checkpoints: int) -> None:
    order = drawing_order(grid_of(checkpoints, 2, [("epoch", "10, 20")], (), baseline=True))
    assert loads(order) == Loads(checkpoints, checkpoints, checkpoints * 2 * 2)
