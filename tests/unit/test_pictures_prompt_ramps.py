"""Ranges of weights in prompts: what is read, what is refused, and that every value is written as it was meant."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.pictures.prompt_ramps import Range, parse_prompt, parse_range, parse_step, plain, ramp_name

numbers = st.decimals(min_value="-20", max_value="20", places=3, allow_nan=False, allow_infinity=False)
up_to = st.sampled_from(["…", "..", "...", " … ", " .. "])


def test_the_issues_own_example() -> None:
    settings = parse_prompt("<lora:ai_model_v1-000040:1>, ai_model_v1, (looking up:1.1…2.4)").settings(
        step=Decimal("0.1")
    )
    assert len(settings) == 14
    assert settings[0].prompt == "ai_model_v1, (looking up:1.1)"
    assert settings[-1].prompt == "ai_model_v1, (looking up:2.4)"
    assert {(use.name, use.weight) for setting in settings for use in setting.loras} == {("ai_model_v1-000040", 1.0)}
    assert [setting.label for setting in settings[:2]] == ["looking up 1.1", "looking up 1.2"]
    assert ramp_name(settings) == "ramp looking up"


@given(first=numbers, last=numbers, sign=up_to, words=st.sampled_from(["smile", "looking up", "初音", "a \\(b\\)"]))
def test_a_range_is_read_back_as_it_was_written(first: Decimal, last: Decimal, sign: str, words: str) -> None:
    parsed = parse_prompt(f"before, ({words}:{plain(first)}{sign}{plain(last)}), after")
    assert parsed.ranges == (Range(first, last),)
    assert parsed.names == (words,)
    settings = parsed.settings(count=2)
    assert settings[0].prompt == f"before, ({words}:{plain(first)}), after"
    assert settings[-1].prompt == f"before, ({words}:{plain(last)}), after"


@given(first=numbers, last=numbers, count=st.integers(2, 60))
def test_a_count_gives_both_ends_and_never_more(first: Decimal, last: Decimal, count: int) -> None:
    values = Range(first, last).values(count=count)
    assert (values[0], values[-1]) == (first, last)
    assert len(values) <= count
    assert len({plain(value) for value in values}) == len(values)
    if abs(last - first) >= Decimal("0.0002") * count:
        assert len(values) == count


@given(first=numbers, last=numbers, step=st.decimals(min_value="0.01", max_value="5", places=2))
def test_a_step_leads_from_one_end_to_the_other(first: Decimal, last: Decimal, step: Decimal) -> None:
    values = Range(first, last).values(step=step)
    assert (values[0], values[-1]) == (first, last)
    assert len(values) == math.ceil(abs(last - first) / step) + 1
    assert sorted(values, reverse=last < first) == list(values)
    assert all(abs(b - a) == step for a, b in itertools.pairwise(values[:-1]))


@given(first=numbers, last=numbers)
def test_without_step_and_count_a_ramp_is_seen_at_a_glance(first: Decimal, last: Decimal) -> None:
    assert len(Range(first, last).values()) <= 10


def test_several_ranges_are_multiplied_in_the_order_they_are_written() -> None:
    parsed = parse_prompt("<lora:x:0.5..1> a, (b:1...2), ((c d:1.1…1.5), e:1.2)")
    settings = parsed.settings(denoise=parse_range("0.2..0.4", what="denoise", low=0, high=1), count=2)
    assert len(settings) == 2 * 2 * 2 * 2
    assert [name for name, _ in settings[0].values] == ["x", "b", "c d", "denoise"]
    assert settings[1].values == (("x", 0.5), ("b", 1.0), ("c d", 1.1), ("denoise", 0.4))
    assert settings[-1].prompt == "a, (b:2), ((c d:1.5), e:1.2)"
    assert (settings[-1].loras[0].weight, settings[-1].denoise) == (1.0, 0.4)


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("<lora:a:1>, trigger, smile", "trigger, smile"),
        ("trigger, <lora:a:1>, smile", "trigger, smile"),
        ("trigger, smile, <lora:a>", "trigger, smile"),
        ("trigger <lora:a:1> smile", "trigger smile"),
        ("<lora:a:1> <lora:b:.5> trigger", "trigger"),
        ("(smile:1.2)<lora:a:1>", "(smile:1.2)"),
        ("born 1990..2000, 3 people", "born 1990..2000, 3 people"),
    ],
)
def test_tags_are_taken_out_and_leave_no_commas(prompt: str, left: str) -> None:
    (setting,) = parse_prompt(prompt).settings()
    assert setting.prompt == left


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("looking up:1.1…2.4", "does not stand at the end of a bracket"),
        ("a, b:1..2)", "does not stand at the end of a bracket"),
        ("[smile:0.2..0.8]", "does not stand at the end of a bracket"),
        ("<lora:x:strong>", "neither a number nor a range"),
        ("<lora:x:0.5:0.4>", "more than one weight"),
        ("<lora:x:1..9>", "not between -2 and 4"),
        ("<lora::1>", "names no LoRA"),
        ("<lora:x:1, a", "is not closed"),
    ],
)
def test_what_would_not_be_read_as_meant_is_refused(prompt: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_prompt(prompt).settings()


def test_more_settings_than_anybody_draws_are_refused_before_they_are_listed() -> None:
    with pytest.raises(InputError, match="too many"):
        parse_prompt("(a:0..9999999)").settings(step=Decimal("0.000001"))
    with pytest.raises(InputError, match="10,201 settings"):
        parse_prompt("(a:0..1), (b:0..1)").settings(count=101)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1e3", ""])
def test_a_step_is_a_number_above_nought(text: str) -> None:
    with pytest.raises(InputError):
        parse_step(text)
