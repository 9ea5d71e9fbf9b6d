from __future__ import annotations

import csv
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from orchestrator.a1111.models import Generated, GenerationInfo, ScriptInfo
from orchestrator.a1111.xyz import Axis, read_script, script_args, take_apart
from orchestrator.errors import InputError, ToolError

# The first axes of a running 1.10.1, Forge and reForge.
A1111 = ["Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale", "Prompt S/R", "Sampler"]
FORGE = [*A1111[:7], "Distilled CFG Scale", *A1111[7:]]
AXES = ["X type", "X values", "X values", "Y type", "Y values", "Y values", "Z type", "Z values", "Z values"]
SUB = ["Include Sub Images", "Include Sub Grids"]
REST = [
    "Keep -1 for seeds", "Vary seeds for X", "Vary seeds for Y", "Vary seeds for Z", "Grid margins (px)",
    "Use text inputs instead of dropdowns",
]  # fmt: skip
LABELS = [*AXES, "Draw legend", *SUB, *REST]
REFORGE_LABELS = [
    *AXES, "Draw legend", "Draw individual labels", "Skip final grid generation",
    "Items per grid (0 = default), for sequential grid generation.", *SUB, *REST,
]  # fmt: skip


def info(labels: list[str], axes: list[str], *, img2img: bool = False, name: str = "x/y/z plot") -> ScriptInfo:
    args = [{"label": label, "choices": axes if label.endswith("type") else None} for label in labels]
    return ScriptInfo.model_validate({"name": name, "is_img2img": img2img, "args": args})


def png(color: tuple[int, int, int] = (200, 100, 50), size: tuple[int, int] = (8, 8)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    return out.getvalue()


STEMS = Axis("Prompt S/R", ("ai_model_v1-000010", "ai_model_v1-000020", "ai_model_v1-000030"))
SEEDS = Axis("Seed", ("1", "2"))


def test_the_arguments_of_a_plot_that_1_10_1_drew() -> None:
    args = script_args(read_script([info(LABELS, A1111)]), [STEMS, SEEDS])
    assert args == [
        7, "ai_model_v1-000010,ai_model_v1-000020,ai_model_v1-000030", [], 1, "1,2", [], 0, "", [],
        True, True, False, False, False, False, False, 0, True,
    ]  # fmt: skip


def test_reforge_has_three_more_and_other_numbers() -> None:
    args = script_args(read_script([info(REFORGE_LABELS, FORGE, name="X/Y/Z plot")]), [STEMS, SEEDS])
    assert len(args) == 21
    assert (args[0], args[3], args[6]) == (8, 1, 0)
    assert args[9:] == [True, False, False, 0, True, False, False, False, False, False, 0, True]


def test_txt2img_and_img2img_are_told_apart() -> None:
    both = [info(LABELS, A1111), info(LABELS, FORGE, img2img=True)]
    assert script_args(read_script(both, img2img=True), [STEMS])[0] == 8
    assert script_args(read_script(both), [STEMS])[0] == 7


def test_choices_told_as_pairs() -> None:
    pairs = ScriptInfo.model_validate(
        {
            "name": "x/y/z plot",
            "args": [{"label": s, "choices": [[a, a] for a in A1111] if s.endswith("type") else None} for s in LABELS],
        }
    )
    assert read_script([pairs]).axes == tuple(A1111)


@pytest.mark.parametrize(
    ("scripts", "says"),
    [
        ([], "no x/y/z plot for txt2img"),
        ([info(LABELS, A1111, img2img=True)], "no x/y/z plot for txt2img"),
        ([info([*LABELS, "Upside down"], A1111)], "it has 'upside down'"),
        ([info(LABELS[:-1], A1111)], "it lacks 'use text inputs instead of dropdowns'"),
        ([info(LABELS[1:], A1111)], "it lacks 'x type'"),
        ([info([*LABELS, "X values"], A1111)], "it lacks 'x menu'"),
        ([info(LABELS, A1111[1:])], "it lacks an axis 'Nothing'"),
        ([info([], [])], "it lacks 'x type'"),
    ],
)
def test_a_script_that_is_not_as_we_know_it_is_refused(scripts: list[ScriptInfo], says: str) -> None:
    with pytest.raises(ToolError) as caught:
        read_script(scripts)
    assert says in caught.value.what
    assert caught.value.fix


def test_an_unknown_axis_is_answered_with_the_nearest() -> None:
    script = read_script([info(LABELS, A1111)])
    with pytest.raises(InputError) as caught:
        script_args(script, [Axis("prompt s/r", ("a",))])
    assert "Did you mean 'Prompt S/R'" in caught.value.fix
    assert "It has: Seed, Var. seed" in caught.value.fix
    with pytest.raises(InputError, match="no axis 'Nothing'"):
        script_args(script, [Axis("Nothing", ("a",))])
    with pytest.raises(InputError, match="three axes, not 4"):
        script_args(script, [SEEDS] * 4)


@pytest.mark.parametrize(
    ("axis", "says"),
    [
        (Axis("Prompt S/R", ()), "has no values"),
        (Axis("Prompt S/R", ("a", "")), "cannot have the value ''"),
        (Axis("Prompt S/R", (" a",)), "cannot have the value ' a'"),
        (Axis("Prompt S/R", ("a\nb",)), "cannot have the value"),
        (Axis("Seed", ("-1",)), "cannot have the value '-1'"),
        (Axis("Seed", ("1-3",)), "cannot have the value '1-3'"),
        (Axis("Var. seed", ("x",)), "cannot have the value 'x'"),
    ],
)
def test_values_that_would_not_arrive_as_they_are(axis: Axis, says: str) -> None:
    with pytest.raises(InputError) as caught:
        script_args(read_script([info(LABELS, A1111)]), [axis])
    assert says in caught.value.what


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1), min_size=1))
def test_values_arrive_as_they_are(values: list[str]) -> None:
    sent = script_args(read_script([info(LABELS, A1111)]), [Axis("Prompt S/R", tuple(values))])[1]
    # As the script of 1.10.1 reads them.
    read = [v.strip() for v in itertools.chain.from_iterable(csv.reader(io.StringIO(sent), skipinitialspace=True))]
    assert read == values


def answer(
    cells: list[bytes], texts: list[str | None], seeds: list[int | None], *, grid: bool = True, **more: object
) -> Generated:
    """What a server sends: the grid, then the cells; infotexts with the grid's in front."""
    told = {"infotexts": ["grid", *texts], "all_seeds": seeds, "index_of_first_image": 1, **more}
    return Generated(images=[png(size=(64, 64))] * grid + cells, info=GenerationInfo.model_validate(told))


def test_cells_come_x_first_then_y_then_z() -> None:
    axes = [Axis("Seed", ("1", "2")), Axis("Steps", ("3", "4", "5")), Axis("CFG Scale", ("6", "7"))]
    pictures = [png((k + 1, 0, 0)) for k in range(12)]
    cells = take_apart(answer(pictures, [f"text {k}" for k in range(12)], list(range(12))), axes)
    assert [cell.at for cell in cells[:7]] == [
        (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (1, 2, 0), (0, 0, 1),
    ]  # fmt: skip
    assert [cell.picture for cell in cells] == pictures
    assert [(cell.infotext, cell.seed) for cell in cells][8] == ("text 8", 8)
    assert not any(cell.error for cell in cells)


def test_cells_without_a_picture_say_why() -> None:
    black_palette = io.BytesIO()
    Image.new("P", (8, 8)).save(black_palette, "PNG")
    pictures = [black_palette.getvalue(), png(), png((0, 0, 0))]
    cells = take_apart(
        answer(pictures, [None, "b", "c"], [None, 2, 3], all_prompts=[None, "b", "c"]), [Axis("Seed", ("1", "2", "3"))]
    )
    assert ["interrupted" in cells[0].error, cells[1].error, "NaN" in cells[2].error] == [True, "", True]


def test_a_dark_picture_is_no_black_one() -> None:
    image = Image.new("RGB", (64, 64))
    image.putpixel((63, 63), (9, 9, 9))
    out = io.BytesIO()
    image.save(out, "PNG")
    (cell,) = take_apart(answer([out.getvalue()], ["a"], [1]), [Axis("Seed", ("1",))])
    assert cell.error == ""


@pytest.mark.parametrize(
    "wrong",
    [
        answer([], [], [-1], grid=False),
        answer([], ["a", "b"], [1, 2]),  # the cells were not sent
        answer([png()], ["a", "b"], [1, 2]),
        answer([png()] * 3, ["a", "b", "c"], [1, 2, 3]),  # a range was read as several values
        answer([png()] * 2, ["a", "b"], [1]),
    ],
)
def test_an_answer_without_the_cells_that_were_asked_for_is_refused(wrong: Generated) -> None:
    with pytest.raises(ToolError, match=r"drew no cell|was asked for 2 cells"):
        take_apart(wrong, [SEEDS])
