"""The baseline prompt: the trigger word and LoRA tags go, with the comma or blank they leave; nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.prompts import baseline_prompt

T = "ai_model_v1"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (f"{T}, full body, looking at camera", "full body, looking at camera"),
        (f"full body, {T}", "full body"),
        (f"full body,{T},smile", "full body,smile"),
        (f"a photo of {T} woman, smile", "a photo of woman, smile"),
        (f"photo of {T}, smile", "photo of, smile"),
        (f"full body, ({T}:1.2), smile", "full body, smile"),
        (f"x, (({T})), [{T}], y", "x, y"),
        (f"({T}, smile:1.2), y", "(smile:1.2), y"),
        (f"<lora:{T}-000040:1.0>, {T}, full body", "full body"),
        (f"<lora:{T}-000040:1.0> {T} full body", "full body"),
        (f"{T}, {T}, full body", "full body"),
        (f"x\n{T}\ny", "x\ny"),
        (T, ""),
        ("Ai_Model_V1, smile", "smile"),
        (f"{T}0, {T}-b, x{T}, {T}, smile", f"{T}0, {T}-b, x{T}, smile"),
    ],
)
def test_what_is_left(prompt: str, expected: str) -> None:
    assert baseline_prompt(prompt, T) == expected


def test_a_trigger_may_hold_brackets_and_japanese() -> None:
    assert baseline_prompt(r"miku \(vocaloid\), smile", r"miku \(vocaloid\)") == "smile"
    assert baseline_prompt("初音ミク, 白い背景", "初音ミク") == "白い背景"


def test_without_a_trigger_only_lora_tags_go() -> None:
    assert baseline_prompt("<lora:other:0.5>, full body", "") == "full body"


_items = st.lists(st.text(alphabet="abc ()[]:.1\\", min_size=1, max_size=8), max_size=5)


@given(_items)
def test_a_prompt_with_neither_is_left_alone(items: list[str]) -> None:
    prompt = ", ".join(items)
    assert baseline_prompt(prompt, "trigger") == prompt


@given(st.lists(st.sampled_from(["smile", T, f"({T}:1.3)", f"{T} woman", "<lora:a:1>", "full body"]), max_size=6))
def test_nothing_of_it_stays_and_twice_is_once(items: list[str]) -> None:
    once = baseline_prompt(", ".join(items), T)
    assert T not in once
    assert "<lora" not in once
    assert ",," not in once.replace(" ", "")
    assert not once.startswith(",")
    assert not once.endswith(",")
    assert baseline_prompt(once, T) == once
