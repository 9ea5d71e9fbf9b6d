"""How many pictures a job will draw, counted before any of them is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.grid.definition import from_profile
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import read
from orchestrator.night import estimates, executors
from orchestrator.profile.model import Profile
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server
from tests.unit import grid_plans


def profile(*grids: dict[str, Any], **training: Any) -> Profile:
    return Profile.model_validate(
        {
            "subject": {"name": "miku", "version": "v2"},
            "training": {"epochs": 10, "save_every": 2, **training},
            "grids": [{"prompt": "{trigger}", **g} for g in grids],
        }
    )


@pytest.mark.parametrize(
    ("grid", "cells"),
    [
        ({"name": "short", "epochs": [2, 4], "weights": [0.5, 1.0], "seeds": [1, 2, 3]}, 2 * 2 * 3 + 3),
        ({"name": "every epoch", "weights": [1.0], "seeds": [1]}, 5 + 1),
        (
            {"name": "no lora", "axes": {"steps": "10-40 (+10)", "sampler": "a, b"}, "seeds": [1, 2]},
            4 * 2 * 2,
        ),
        ({"name": "mixed", "axes": {"cfg": [5, 7, 9], "weight": [0.5, 1.0]}, "seeds": [1]}, 3 * 2 + 3),
        ({"name": "bare", "axes": {"epoch": "2, 4", "cfg": [5, 7]}, "seeds": [1], "baseline": False}, 2 * 2),
    ],
)
def test_the_cells_of_a_grid_of_any_axes(grid: dict[str, Any], cells: int) -> None:
    one = profile(grid)
    assert estimates.pictures("grid", one) == cells
    drawn = plan(read(from_profile(one, one.grids[0])), grid_plans.stock(epochs=(2, 4, 6, 8, 10)))
    assert len(drawn.cells) == cells


def test_only_the_grids_that_are_named() -> None:
    both = profile(
        {"name": "a", "axes": {"steps": "1-3"}, "seeds": [1]}, {"name": "b", "axes": {"steps": "1-4"}, "seeds": [1]}
    )
    assert estimates.pictures("grid", both) == 7
    assert estimates.pictures("grid", both, ["b"]) == 4


def test_the_last_epoch_counts_though_it_was_not_its_turn() -> None:
    one = profile({"name": "a", "weights": [1.0], "seeds": [1], "baseline": False}, epochs=5)
    assert estimates.pictures("grid", one) == 3  # 2, 4 and 5


def test_what_comes_from_the_cache_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(prompt="a", checkpoint_hash="base")
    found = [Picture(tmp_path, recipe, key, cached=key == "b") for key in "abc"] + [
        Picture(tmp_path, recipe, "d", "no")
    ]
    renderer = executors.counting(Renderer(cast("Server", None), PictureCache(tmp_path), restart_every=3))
    assert renderer.restart_every == 3 and renderer.timings("scout", 0.0) == []
    monkeypatch.setattr(Renderer, "render", lambda *given, **more: found)
    assert renderer.render([recipe]) == found
    ((kind, count, _),) = renderer.timings("scout", 0.0)
    assert (kind, count) == ("scout", 2)
    assert renderer.timings("grid", 0.0)[0][0] == "pictures"
