from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.a1111.infotext import parse, parse_fields, write_fields

# As a running 1.10.1 wrote it.
OBSERVED = (
    "photo of ai_model woman <lora:ai_model_v1-000010:1>\nNegative prompt: bad\n"
    "Steps: 1, Sampler: Euler, Schedule type: Automatic, "
    "CFG scale: 7.0, Seed: 1, Size: 64x64, Model hash: f3d717ddd8, Model: tinysd15_a, "
    'Lora hashes: "ai_model_v1-000010: 67c16c315401, '
    'b: 0123", Script: X/Y/Z plot, X Type: Prompt S/R, X Values: "a,b", Version: v1.10.1'
)


def test_an_observed_infotext() -> None:
    text = parse(OBSERVED)
    assert text.prompt == "photo of ai_model woman <lora:ai_model_v1-000010:1>"
    assert text.negative_prompt == "bad"
    assert text.fields["Schedule type"] == "Automatic"
    assert text.fields["X Values"] == "a,b"
    assert text.fields["Version"] == "v1.10.1"
    assert text.lora_hashes == {"ai_model_v1-000010": "67c16c315401", "b": "0123"}


def test_no_negative_line_and_several_lines_of_prompt() -> None:
    text = parse("a\nb\nSteps: 2, Sampler: Euler")
    assert (text.prompt, text.negative_prompt, text.fields) == ("a\nb", "", {"Steps": "2", "Sampler": "Euler"})


def test_a_negative_prompt_of_several_lines() -> None:
    assert parse("a\nNegative prompt: b\nc\nSteps: 2").negative_prompt == "b\nc"


def test_text_that_is_no_infotext_is_a_prompt() -> None:
    assert parse("just words").prompt == "just words"
    assert parse("").fields == {}


names = st.from_regex(r"[A-Z][A-Za-z0-9]{0,8}( [a-z]{1,5})?", fullmatch=True)
values = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"), min_size=1, max_size=20
)


@given(st.dictionaries(names, values, min_size=1, max_size=6))
def test_fields_survive_the_round_trip(fields: dict[str, str]) -> None:
    assert parse_fields(write_fields(fields)) == fields


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    parse(text)
