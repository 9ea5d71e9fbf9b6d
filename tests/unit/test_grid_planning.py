"""Which cells a grid has, what each is drawn from, and what is refused before any is made."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import InputError
from orchestrator.grid import definition as definitions
from orchestrator.grid.definition import AskedAxis, FurtherLora, from_profile
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import MOST_CELLS, read
from orchestrator.profile.load import parse_profile
from orchestrator.render.recipe import LoraUse, Recipe
from tests.unit.grid_plans import at, defined, planned, stock, use

SHORT = [("epoch", "all"), ("weight", "0.4, 0.8"), ("seed", "7, 3")]


def test_the_baseline_comes_first_then_all_cells_the_last_axis_fastest() -> None:
    grid = planned(*SHORT)
    assert [axis.values for axis in grid.axes] == [("10", "20", "30"), ("0.4", "0.8"), ("7", "3")]
    assert [axis.lora for axis in grid.axes] == [True, True, False]
    assert [cell.at for cell in grid.cells[:4]] == [(None, None, 0), (None, None, 1), (0, 0, 0), (0, 0, 1)]
    assert len(grid.cells) == 2 + 3 * 2 * 2
    assert (grid.y, grid.x) == (0, 1)
    assert at(grid, epoch="20", weight="0.8", seed="3").label == "epoch 20, weight 0.8, seed 3"
    assert at(grid, epoch=None, weight=None, seed="3").label == "no LoRA, seed 3"


def test_the_baseline_has_neither_lora_nor_trigger_and_the_cells_have_both() -> None:
    grid = planned(*SHORT, loras=(FurtherLora("a", 0.5),))
    bare, drawn = (
        at(grid, epoch=None, weight=None, seed="7").recipe,
        at(grid, epoch="20", weight="0.8", seed="3").recipe,
    )
    assert bare == Recipe(prompt="close-up", seed=7, checkpoint_hash="base")
    assert drawn is not None
    assert drawn.prompt == "miku_v2, close-up"
    assert [(lora.stem, lora.weight) for lora in drawn.loras] == [("v2-20", 0.8), ("a", 0.5)]


def test_left_out_cells_keep_their_place_and_say_why() -> None:
    grid = planned(*SHORT, exclude=("epoch <= 20 and weight <= 0.4", "seed == 3"))
    cell = at(grid, epoch="20", weight="0.4", seed="7")
    assert (cell.recipe, cell.left_out) == (None, "epoch ≤ 20 and weight ≤ 0.4")
    assert at(grid, epoch=None, weight=None, seed="3").left_out == "seed == 3"
    assert not at(grid, epoch=None, weight=None, seed="7").left_out, "a rule about LoRA says nothing of the baseline"
    assert not at(grid, epoch="30", weight="0.4", seed="7").left_out


def test_every_plain_axis_changes_its_field() -> None:
    grid = planned(
        ("steps", "10-20 (+10)"), ("cfg", "4.5, 6"), ("size", "64x96, 128x64"), ("clip skip", "1-2"),
        ("sampler", "Euler a, DDIM"), ("scheduler", "Karras, Beta"), ("negative prompt", ["bad", ""]), ("seed", "5"),
    )  # fmt: skip
    last = grid.cells[-1].recipe
    assert last == Recipe(
        prompt="miku_v2, close-up", negative_prompt="", seed=5, steps=20, cfg_scale=6.0, width=128, height=64,
        clip_skip=2, sampler="DDIM", scheduler="Beta", checkpoint_hash="base",
    )  # fmt: skip
    assert not grid.baseline, "without a LoRA axis there is nothing to go without"
    assert len({cell.recipe.key for cell in grid.cells if cell.recipe}) == len(grid.cells) == 2**7


def test_prompts_words_weights_and_styles_make_one_prompt() -> None:
    grid = planned(
        ("prompt", ["{trigger}, smile, red hair", "smile, {trigger} in the rain, red hair"]),
        ("replace", "smile, frown"),
        ("prompt weight red hair", "1, 1.3"),
        ("styles", "none, film + noir"),
        ("negative prompt", ["bad"]),
        of=stock(styles={"film": ("film grain", "blur"), "noir": ("noir ({prompt})", "")}),
    )
    last = grid.cells[-1].recipe
    assert last is not None
    assert last.prompt == "noir (frown, miku_v2 in the rain, (red hair:1.3), film grain)"
    assert last.negative_prompt == "bad, blur"
    assert [axis.name for axis in grid.axes][1:3] == ["smile", "weight of red hair"]


def test_versions_bring_their_trigger_and_a_missing_epoch_is_left_out() -> None:
    runs = {"v1": {10: use("v1-10")}, "v2": {10: use("v2-10"), 20: use("v2-20")}}
    grid = planned(("version", "v1, v2"), ("epoch", ""), ("seed", "1"), of=stock(runs=runs))
    one = at(grid, version="v1", epoch="10").recipe
    assert one is not None
    assert (one.prompt, one.loras[0].stem) == ("miku_v1, close-up", "v1-10")
    assert at(grid, version="v1", epoch="20").left_out == "v1 has no epoch 20"
    bare = at(grid, version=None, epoch=None).recipe
    assert bare is not None
    assert bare.prompt == "close-up"


def test_lora_files_by_name_several_at_once_and_none() -> None:
    grid = planned(("lora", "a, a + b:0.5, none"), ("weight", "0.4, 1"), ("seed", "1"))
    both = at(grid, lora="a + b:0.5", weight="0.4").recipe
    assert both is not None
    assert [(lora.stem, lora.weight) for lora in both.loras] == [("a", 0.4), ("b", 0.5)]
    without = at(grid, lora="none", weight="1").recipe
    assert without is not None
    assert without.loras == ()
    assert without.prompt == "miku_v2, close-up", "only the baseline goes without the trigger"


def test_a_weight_axis_alone_is_of_the_last_epoch() -> None:
    recipe = planned(("weight", "0.5"), ("seed", "1")).cells[-1].recipe
    assert recipe is not None
    assert recipe.loras == (LoraUse("v2-30", "sha of v2-30", "0" * 12, 0.5),)


def test_models_and_options() -> None:
    models = {
        (checkpoint, ""): {"checkpoint": checkpoint, "checkpoint_hash": checkpoint[-1], "vae": "", "vae_hash": ""}
        for checkpoint in ("model a", "model b")
    }
    grid = planned(
        ("checkpoint", "model a, model b"),
        ("option eta_ddim", "0, 0.5"),
        ("option s_noise", "1"),
        of=stock(models=models, options={"eta_ddim": {"0": 0, "0.5": 0.5}, "s_noise": {"1": 1}}),
    )
    last = grid.cells[-1].recipe
    assert last is not None
    assert (last.checkpoint, last.checkpoint_hash) == ("model b", "b")
    assert json.loads(last.options) == {"eta_ddim": 0.5, "s_noise": 1}


@pytest.mark.parametrize(
    ("x", "y", "lies"),
    [
        ("", "", (1, 0)),
        ("seed", "", (2, 0)),
        ("weight", "epoch", (1, 0)),
        ("epoch", "seed", (0, 2)),
        ("", "seed", (0, 2)),
    ],
)
def test_axes_lie_where_they_are_asked_to(x: str, y: str, lies: tuple[int, int]) -> None:
    grid = planned(*SHORT, x=x, y=y)
    assert (grid.x, grid.y) == lies


def test_one_axis_lies_across_and_a_single_seed_is_no_row() -> None:
    grid = planned(("steps", "10-30 (+10)"), ("seed", "1"))
    assert (grid.x, grid.y) == (0, -1)


def test_file_names_differ_in_every_cell_and_are_safe() -> None:
    grid = planned(("prompt", ["a/b: c?" * 30, "a/b: c!" * 30, "con"]), ("weight", "-0.8, 0.8"), ("seed", "1, 2"))
    stems = {cell.stem.casefold() for cell in grid.cells}
    assert len(stems) == len(grid.cells)
    assert all(len(stem) < 100 and not set(stem) & set('<>:"/\\|?*') for stem in stems)


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_made() -> None:
    asked = defined(
        ("steps", "0"), ("epoch", "40"), ("weight", ""), ("replace", "frown, smile"), ("option", "1"),
        exclude=("epochs < 3",), x="weigth", baseline=True,
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        plan(read(asked), stock(problems=("A1111 has no style 'film'",)))
    said = str(caught.value)
    for part in (
        "axis steps: 0 is not between", "there is no LoRA file of epoch 40; there are 10, 20, 30",
        "axis weight: it has no values", "'frown' does not stand in the prompt", "say its name",
        "exclude 'epochs < 3'", "x = 'weigth'", "no style 'film'",
    ):  # fmt: skip
        assert part in said, part


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        ([("seed", "1-100000"), ("steps", "1-100")], "10,000,000 cells"),
        ([("seed", "1-100000"), ("cfg", "1-30"), ("steps", "1-150"), ("clip skip", "1-12")], "5,400,000,000 cells"),
    ],
)
def test_ten_million_cells_are_counted_and_not_made(axes: list[tuple[str, str]], why: str) -> None:
    assert any(why in problem for problem in read(defined(*axes)).problems)
    assert MOST_CELLS >= 100_000


@pytest.mark.parametrize(
    ("axes", "more", "why"),
    [
        ([("denoise", "0.2")], {}, "denoise needs a picture"),
        ([("steps", "10")], {"baseline": True}, "no axis varies one"),
        ([("steps", "10"), ("steps", "20")], {}, "two axes of that kind"),
        ([("replace", "close-up, far"), ("prompt weight close-up", "1.2")], {}, "both change the words"),
        ([("lora", "a:0.5"), ("weight", "1")], {}, "names a weight, and there is a weight axis"),
        ([("lora", "a + a")], {}, "stands twice in one picture"),
        ([("seed", "1")], {"prompt": ""}, "give a prompt"),
        ([], {}, "it has no axis"),
        ([("prompt", "a smile, b"), ("replace", "smile, frown")], {}, "does not stand in prompt 2"),
        ([("version", "v9")], {}, "no LoRA file of miku_v9"),
    ],
)
def test_what_makes_no_grid_is_refused(axes: list[tuple[str, str]], more: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=why):
        planned(*axes, **more)


def test_a_definition_survives_json_and_plans_the_same_grid() -> None:
    asked = defined(*SHORT, exclude=("epoch <= 20 and weight <= 0.4",), loras=(FurtherLora("a", 0.5),), x="seed")
    again = definitions.from_dict(json.loads(json.dumps(definitions.to_dict(asked))))
    assert again == asked
    assert plan(read(again), stock()) == plan(read(asked), stock())


@pytest.mark.parametrize(
    "spoilt",
    [
        {"format": 9}, {"axes": 3}, {"axes": [{"kind": 1, "values": "1"}]},
        {"axes": [{"kind": "steps", "values": [{}]}]}, {"settings": {"steps": "many"}},
        {"prompt": 7}, {"loras": ["x"]}, {"baseline": "yes"}, {"exclude": [1]},
    ],
)  # fmt: skip
def test_a_strangers_definition_is_checked(spoilt: dict[str, object]) -> None:
    with pytest.raises(InputError, match="no definition"):
        definitions.from_dict({**definitions.to_dict(defined(*SHORT)), **spoilt})


PROFILE = """
[subject]
name = "miku"
version = "v2"
[generation]
steps = 12
negative_prompt = "bad"
[[grids]]
name = "face"
prompt = "{trigger}"
exclude = ["epoch <= 20 and weight <= 0.6", { epoch_up_to = 10 }]
[[grids]]
name = "sampling"
prompt = "{trigger}"
axes = { steps = "10-40 (+10)", cfg = [4, 6.5], "option eta_ddim" = "0, 1" }
y = "cfg"
[[grids]]
name = "words"
prompt = "{trigger}, smile"
weights = [0.8]
seeds = [5]
negative_prompt = ""
[[grids.axes]]
kind = "replace"
values = ["smile", "frown"]
name = "mood"
"""


def test_profiles_have_a_short_form_and_general_axes() -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    face, sampling, words = (from_profile(profile, grid) for grid in profile.grids)
    assert [axis.kind for axis in face.axes] == ["epoch", "weight", "seed"]
    assert face.exclude == ("epoch <= 20 and weight <= 0.6", "epoch <= 10")
    assert (face.settings.steps, face.negative_prompt, words.negative_prompt) == (12, "bad", "")
    assert [(axis.kind, axis.of) for axis in sampling.axes] == [
        ("steps", ""), ("cfg", ""), ("option", "eta_ddim"), ("seed", ""),
    ]  # fmt: skip
    assert words.axes == (
        AskedAxis("weight", (0.8,)), AskedAxis("replace", ("smile", "frown"), "mood"), AskedAxis("seed", (5,)),
    )  # fmt: skip
    assert not any(read(each).problems for each in (face, sampling, words))
