from __future__ import annotations

import pytest

from orchestrator.a1111.infotext import parse
from orchestrator.a1111.plot_text import Tag, plot_axes, replace_in, split_values, without_tags
from orchestrator.a1111.xyz import Axis

# As a running 1.10.1 wrote it into the sheet of a plot.
OBSERVED = (
    "photo of ai_model woman <lora:ai_model_v1-000010:1>\nNegative prompt: bad\n"
    "Steps: 1, Sampler: Euler, Schedule type: Automatic, CFG scale: 7.0, Seed: 1, Size: 64x64, Model hash: f3d717ddd8, "
    'Model: tinysd15_a, Lora hashes: "ai_model_v1-000010: 67c16c315401", Script: X/Y/Z plot, X Type: Prompt S/R, '
    'X Values: "ai_model_v1-000010,ai_model_v1-000020,ai_model_v1-000030", Y Type: Seed, Y Values: "-1,-1", '
    'Fixed Y Values: "1, 2", Version: v1.10.1'
)


def test_the_axes_of_an_observed_sheet() -> None:
    names = tuple(f"ai_model_v1-0000{epoch}" for epoch in (10, 20, 30))
    assert plot_axes(parse(OBSERVED).fields) == (Axis("Prompt S/R", names), Axis("Seed", ("1", "2")))


def test_a_picture_that_is_no_plot() -> None:
    assert plot_axes(parse("a\nSteps: 1, Sampler: Euler").fields) == ()
    assert plot_axes({"X Type": "Nothing", "X Values": ""}) == ()


def test_values_with_commas_and_quotes() -> None:
    assert split_values('a, "b, c" , d') == ["a", "b, c", "d"]
    assert split_values("") == []


def test_a_replacement_reaches_both_prompts_and_tags() -> None:
    axis = Axis("Prompt S/R", ("v1", "v2"))
    assert replace_in("<lora:v1:1> v1, smile", "no v1", axis, "v2") == ("<lora:v2:1> v2, smile", "no v2")
    assert replace_in("v1", "", Axis("Seed", ("1", "2")), "2") == ("v1", "")


@pytest.mark.parametrize(
    ("prompt", "left", "tags"),
    [
        ("a <lora:x:0.8>, b", "a , b", [Tag("x", 0.8)]),
        ("<lora:x> a", "a", [Tag("x", 1.0)]),
        ("<lyco:x:1:1> a", "a", [Tag("x", 1.0)]),
        ("a <lora:x:0.5><lora: y :-.25>", "a", [Tag("x", 0.5), Tag("y", -0.25)]),
        ("a <x:1>", "a <x:1>", []),
    ],
)
def test_tags_are_taken_out_of_a_prompt(prompt: str, left: str, tags: list[Tag]) -> None:
    assert without_tags(prompt) == (left, tags)


def test_tags_that_say_more_than_a_weight_are_told() -> None:
    assert "te=0.2" in without_tags("<lora:x:1:te=0.2>")[1][0].strange
    assert "no number" in without_tags("<lora:x:1,0>")[1][0].strange
