from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dataset.about_captions import of_all
from orchestrator.dataset.caption_store import Kept, compose
from orchestrator.dataset.model import DatasetPicture
from orchestrator.dataset.tag_words import as_words, caption_words, is_named, kind_of, shared_things
from orchestrator.dataset.view import Measured
from orchestrator.vision.model import Measurement

SEEN = {"general": 0.9, "school_uniform": 0.8, "smile": 0.99, "blue_hair": 0.95, "hat": 0.2, ":d": 0.6}


def test_a_caption_gets_the_surest_words_first_without_ratings_and_what_is_blocked() -> None:
    assert caption_words(SEEN, seen_from=0.35) == ("smile", "blue hair", "school uniform", ":d")
    assert caption_words(SEEN, seen_from=0.35, blocked=["*hair", "School Uniform"]) == ("smile", ":d")


def test_words_the_template_has_are_not_doubled() -> None:
    assert compose("{trigger}, Smile", None, Kept(words=("smile", "hat"))) == "{trigger}, Smile, hat"
    assert compose("{tags}, smile", None, Kept(words=("smile", "hat"))) == "hat, smile"


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("school_uniform", "outfit"), ("t-shirt", "outfit"), ("simple_background", "place"), ("blue_eyes", "person"),
        ("dress_(fate)", "outfit"), ("smile", None), ("arm_up", None),
    ],
)  # fmt: skip
def test_a_tag_is_about_what_its_last_word_says(tag: str, kind: str | None) -> None:
    assert kind_of(tag) == kind


def test_a_thing_is_named_by_a_word_of_its_own_and_not_inside_another() -> None:
    assert is_named("red_dress", "miku, in a long dress, smiling")
    assert not is_named("hat", "miku, what a day")
    assert as_words("^_^") == "^_^"


@pytest.mark.parametrize(
    ("named", "level", "kind"),
    [(0, "locked in", "unnamed outfit"), (2, "locked in", "unnamed outfit"), (5, "warning", "unnamed outfit"),
     (9, "note", "named outfit")],
)  # fmt: skip
def test_what_all_pictures_show_and_no_caption_names_is_locked_in(named: int, level: str, kind: str) -> None:
    found = findings({"school_uniform": 0.9}, ["miku, school uniform"] * named + ["miku"] * (10 - named))
    assert [(one.level, one.kind) for one in found] == [(level, kind)]
    assert f"named in {named} captions" in found[0].what


def test_traits_of_the_person_shall_stay_unnamed() -> None:
    assert findings({"blue_hair": 0.9}, ["miku"] * 10) == []
    (found,) = findings({"blue_hair": 0.9}, ["miku, blue hair"] * 10)
    assert (found.level, found.kind) == ("note", "named trait")


def test_a_few_pictures_prove_nothing() -> None:
    assert findings({"hat": 0.9}, ["miku"] * 4) == []
    assert list(shared_things([("miku", None)] * 20, seen_from=0.5)) == []


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=30))
def test_counts_are_those_of_the_pictures(pictures: list[tuple[bool, bool]]) -> None:
    known = [("miku, hat" if named else "miku", {"hat": 0.9 if shown else 0.1}) for shown, named in pictures]
    seen = sum(shown for shown, _ in pictures)
    found = list(shared_things(known, seen_from=0.5))
    assert bool(found) == (seen >= 0.8 * len(pictures))
    for one in found:
        assert (one.seen, one.looked) == (seen, len(pictures))
        assert one.named == sum(shown and named for shown, named in pictures)


def findings(tags: dict[str, float], captions: list[str]) -> list:  # type: ignore[type-arg]
    pictures = [
        Measured(
            DatasetPicture(Path(f"{number}.png"), "g", caption, "s", str(number)),
            Measurement(str(number), 512, 512, 1.0, 0, 0),
        )
        for number, caption in enumerate(captions)
    ]
    return list(of_all(pictures, {str(number): tags for number in range(len(captions))}, 0.35))
