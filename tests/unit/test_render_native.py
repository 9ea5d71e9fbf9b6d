from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.a1111.models import Generated, GenerationInfo, ProgressState
from orchestrator.a1111.xyz import PlotCell
from orchestrator.render.native import _distrusted
from orchestrator.render.plots import Plot, plan_plots
from orchestrator.render.recipe import LoraUse, Recipe

EPOCHS = (10, 20, 30, 40)
WEIGHTS = (0.4, 0.6, 0.8, 1.0)
SEEDS = (1, 2, 3)


def recipe(epoch: int, weight: float, seed: int, **changes: object) -> Recipe:
    lora = LoraUse(f"m-{epoch:06d}", f"{epoch:064d}", f"{epoch:012d}", weight)
    return Recipe(prompt="m woman, close-up", negative_prompt="bad", loras=(lora,), seed=seed).evolve(**changes)


def grid(
    epochs: Sequence[int] = EPOCHS, weights: Sequence[float] = WEIGHTS, seeds: Sequence[int] = SEEDS
) -> list[Recipe]:
    return [recipe(e, w, s) for e in epochs for w in weights for s in seeds]


def values(plot: Plot) -> tuple[tuple[str, ...], ...]:
    return tuple(axis.values for axis in plot.axes)


def cell_prompts(plot: Plot) -> list[str]:
    """What the script makes of the first recipe's prompt: z outside, x inside; of each axis it searches the first."""
    _, weights, files = plot.axes
    prompt = plot.recipes[0].tagged_prompt
    return [
        prompt.replace(weights.values[0], w).replace(files.values[0], f)
        for f in files.values
        for w in weights.values
        for _ in plot.axes[0].values
    ]


def test_a_whole_grid_is_one_plot_with_the_file_outermost() -> None:
    (plot,) = plan_plots(grid())
    assert [axis.label for axis in plot.axes] == ["Seed", "Prompt S/R", "Prompt S/R"]
    assert values(plot) == (
        ("1", "2", "3"), (":0.4>", ":0.6>", ":0.8>", ":1>"),
        ("<lora:m-000010:", "<lora:m-000020:", "<lora:m-000030:", "<lora:m-000040:"),
    )  # fmt: skip
    assert list(plot.recipes) == grid()
    assert cell_prompts(plot) == [r.tagged_prompt for r in plot.recipes]


def test_left_out_corners_are_never_drawn() -> None:
    # Young epochs at low weights are left out: a staircase.
    wanted = [r for r in grid() if r.loras[0].weight >= 1.1 - int(r.loras[0].stem[-2:]) / 50]
    plots = plan_plots(wanted)
    drawn = [r for plot in plots for r in plot.recipes]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= set(wanted)
    assert len(drawn) >= len(wanted) - 3
    assert len(plots[0].recipes) == max(len(plot.recipes) for plot in plots)


def test_cells_that_are_there_are_not_drawn_again() -> None:
    there = recipe(20, 0.6, 2)
    drawn = [r for plot in plan_plots(r for r in grid() if r != there) for r in plot.recipes]
    assert there not in drawn
    assert len(drawn) == len(set(drawn)) >= len(grid()) - 3


@given(
    st.sets(st.tuples(st.sampled_from(EPOCHS), st.sampled_from(WEIGHTS), st.sampled_from(SEEDS))), st.integers(1, 300)
)
def test_plots_hold_wanted_cells_once_and_no_others(places: set[tuple[int, float, int]], megapixels: int) -> None:
    wanted = [recipe(*place) for place in sorted(places)]
    drawn = []
    for plot in plan_plots(wanted, megapixels):
        x, y, z = values(plot)
        assert len(plot.recipes) == len(x) * len(y) * len(z) > 1
        assert round(len(plot.recipes) * 512 * 512 / 1e6) < megapixels
        assert cell_prompts(plot) == [r.tagged_prompt for r in plot.recipes]
        assert [str(r.seed) for r in plot.recipes] == list(x) * (len(y) * len(z))
        drawn += plot.recipes
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= set(wanted)


def test_a_large_grid_is_parted_by_file_then_by_seed() -> None:
    parts = [values(plot) for plot in plan_plots(grid(epochs=range(1, 11), seeds=range(8)))]
    assert [(len(x), len(y), len(z)) for x, y, z in parts] == [(8, 4, 2)] * 5, "95 cells of 512×512 are 25 megapixels"
    parts = [values(plot) for plot in plan_plots(grid(epochs=[1], seeds=range(40)))]
    assert [(len(x), len(y), len(z)) for x, y, z in parts] == [(23, 4, 1), (17, 4, 1)]
    many = [n / 100 for n in range(1, 161)]
    parts = [values(plot) for plot in plan_plots(grid(epochs=[1], weights=many, seeds=[1, 2]))]
    assert [(len(x), len(y), len(z)) for x, y, z in parts] == [(1, 95, 1), (1, 65, 1)] * 2


def test_pictures_too_large_for_two_in_a_plot() -> None:
    assert plan_plots([r.evolve(width=4096, height=4096) for r in grid()]) == []
    assert plan_plots(grid(), 1.0) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"init_sha256": "a" * 64},
        {"batch_size": 2},
        {"alwayson_scripts": '{"ADetailer": {}}'},
        {"loras": ()},
        {"prompt": "(woman:0.4>, close-up"},
        {"prompt": "what <lora:m-000010: says"},
        {"negative_prompt": "worst:0.4>"},
    ],
)
def test_what_a_plot_would_draw_otherwise_is_drawn_alone(changes: dict[str, object]) -> None:
    assert plan_plots([r.evolve(**changes) for r in grid()]) == []


def test_a_second_lora_stays_as_it_is() -> None:
    other = LoraUse("style", "5" * 64, "5" * 12, 0.5)
    (plot,) = plan_plots([r.evolve(loras=(*r.loras, other)) for r in grid()])
    assert cell_prompts(plot) == [r.tagged_prompt for r in plot.recipes]
    alike = LoraUse("style", "5" * 64, "5" * 12, 0.4)
    assert plan_plots([r.evolve(loras=(*r.loras, alike)) for r in grid()]) == [], "its weight would be replaced too"


def test_other_prompts_and_checkpoints_are_other_plots() -> None:
    plots = plan_plots([*grid(), *(r.evolve(prompt="m, full body") for r in grid())])
    assert [len(plot.recipes) for plot in plots] == [48, 48]
    plots = plan_plots([*grid(), *(r.evolve(seed=r.seed + 9, checkpoint_hash="1" * 10) for r in grid())])
    assert [len(plot.recipes) for plot in plots] == [48, 48]


def test_stems_one_of_which_begins_like_another() -> None:
    loras = [LoraUse(stem, stem[-1] * 64, "", 1.0) for stem in ("m", "m-1", "x m, ‘初音’")]
    (plot,) = plan_plots([recipe(1, 1, s, loras=(lora,)) for lora in loras for s in SEEDS])
    assert cell_prompts(plot) == [r.tagged_prompt for r in plot.recipes]


def cells(*drawn: bool) -> list[PlotCell]:
    return [PlotCell((k, 0, 0), b"", "text" if d else "", k, "" if d else "not drawn") for k, d in enumerate(drawn)]


@pytest.mark.parametrize(
    ("drawn", "state", "doubted"),
    [
        ((True, True, False, False), ProgressState(interrupted=True, job_timestamp="7"), [1]),
        ((True, True, True), ProgressState(interrupted=True, job_timestamp="7"), [2]),
        ((True, True, True), ProgressState(interrupted=False, job_timestamp="7"), []),
        # Errors in the last cells, and the server says that nobody interrupted them.
        ((True, True, False), ProgressState(interrupted=False, job_timestamp="7"), []),
        # The next job has begun: what the server says is no longer about ours.
        ((True, True, False), ProgressState(interrupted=False, job_timestamp="8"), [1]),
        ((True, True, True), ProgressState(interrupted=True, job_timestamp="8"), []),
        ((False, False), ProgressState(interrupted=True, job_timestamp="7"), []),
    ],
)
def test_the_cell_an_interruption_may_have_cut_off_is_not_trusted(
    drawn: tuple[bool, ...], state: ProgressState, doubted: list[int]
) -> None:
    answer = Generated(images=[], info=GenerationInfo(job_timestamp="7"))
    result = _distrusted(cells(*drawn), answer, state)
    assert [k for k, cell in enumerate(result) if "half done" in cell.error] == doubted
    assert [k for k, cell in enumerate(result) if cell.error == "not drawn"] == [
        k for k, d in enumerate(drawn) if not d
    ]
