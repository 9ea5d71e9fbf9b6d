"""Prompts from templates: whole phrases, found once, never in tags and never in what an axis put there."""

from __future__ import annotations

import pytest

from orchestrator.grid.templates import Collision, Phrase, template


def filled(text: str, phrases: list[Phrase], **values: str) -> str:
    return template(text, phrases).filled(values)


def test_a_phrase_is_replaced_everywhere_and_only_as_whole_words() -> None:
    assert filled("hair, hairband, hair", [Phrase("a", "hair")], a="hat") == "hat, hairband, hat"


def test_values_are_never_searched_again() -> None:
    phrases = [Phrase("a", "cat"), Phrase("b", "dog")]
    assert filled("cat and dog", phrases, a="dog", b="cat") == "dog and cat"


def test_tags_and_placeholders_are_never_cut() -> None:
    text = "<lora:cat:1>, {cat}, {trigger}, cat"
    assert filled(text, [Phrase("a", "cat")], a="dog") == "<lora:cat:1>, {cat}, {trigger}, dog"
    assert filled("{trigger}, cat", [Phrase("a", "{trigger}, cat")], a="dog") == "dog"
    assert template("a {trig} b", [Phrase("a", "a {tri")]).phrases == frozenset()


def test_a_phrase_replaced_by_nothing_takes_its_comma_along() -> None:
    assert filled("a, smile, b", [Phrase("x", "smile")], x="") == "a, b"
    assert filled("a, smile", [Phrase("x", "smile")], x="") == "a"


@pytest.mark.parametrize(
    ("text", "weight", "became"),
    [
        ("a, red hair, b", "1.2", "a, (red hair:1.2), b"),
        ("a, (red hair:0.8), b", "1.2", "a, (red hair:1.2), b"),
        ("a, red hair, b", "1", "a, red hair, b"),
        ("a, (red hair:0.8), b", "1", "a, red hair, b"),
    ],
)
def test_a_weight_takes_the_place_of_the_one_that_is_there(text: str, weight: str, became: str) -> None:
    assert filled(text, [Phrase("w", "red hair", weighted=True)], w=weight) == became


def test_two_axes_may_not_want_the_same_words() -> None:
    with pytest.raises(Collision, match="'red hair'"):
        template("red hair", [Phrase("a", "red hair"), Phrase("b", "hair")])
    with pytest.raises(Collision):
        template("(red hair:1.2)", [Phrase("a", "red hair"), Phrase("w", "red hair", weighted=True)])


def test_japanese_phrases_and_brackets() -> None:
    assert filled("笑顔、座る", [Phrase("a", "笑顔")], a="怒り") == "怒り、座る"
    assert filled("a (b) c", [Phrase("x", "(b)")], x="d") == "a d c"
