"""Ranked captions, and what a tagger's words say about a pose."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.judge import score
from orchestrator.profile.model import Expectation
from orchestrator.tagging.tags import (
    TAG_NAMES,
    canonical,
    names_known,
    obedience,
    parse_ranked,
)
from orchestrator.vision.model import Face, Framing, Measurement


def test_every_expectation_of_a_profile_has_names() -> None:
    assert set(TAG_NAMES) == set(get_args(Expectation))
    assert all(name == canonical(name) for names in TAG_NAMES.values() for name in names)


def test_a_ranked_caption_as_a1111_writes_it() -> None:
    caption = "(arm_up:0.871), (:d:0.412), (;):0.300), (fate_\\(series\\):0.120), (1girl:1.000)"
    assert parse_ranked(caption) == {"arm_up": 0.871, ":d": 0.412, ";)": 0.3, "fate_(series)": 0.12, "1girl": 1.0}


def test_a_caption_without_ranks_gives_nothing() -> None:
    assert parse_ranked("1girl, arm up, solo") == {}
    assert parse_ranked("") == {}


_tag = st.text(st.sampled_from("abcxyz_:;()<>^.0123456789-!"), min_size=1, max_size=12).filter(
    lambda t: canonical(t) == t and not any(mark in t for mark in (":0.", ":1."))
)


@given(st.dictionaries(_tag, st.integers(0, 1000), min_size=1, max_size=20))
def test_ranks_come_back_as_they_were_written(tags: dict[str, int]) -> None:
    caption = ", ".join(f"({name}:{rank / 1000:.3f})" for name, rank in tags.items())
    assert parse_ranked(caption) == {name: rank / 1000 for name, rank in tags.items()}


@given(st.text(max_size=300))
def test_no_caption_is_too_strange(caption: str) -> None:
    assert all(0.0 <= rank < 2.0 for rank in parse_ranked(caption).values())


def test_the_surest_of_the_known_names_counts() -> None:
    known = frozenset({"arm_up", "hand_up"})
    assert obedience("hand raised", {"arm_up": 0.2, "hand_up": 0.7, "waving": 0.9}, known) == 0.7
    assert obedience("hand raised", {"solo": 0.9}, known) == 0.0
    assert obedience("arms crossed", {"crossed_arms": 0.9}, known) is None


def test_a_name_is_known_once_it_turns_up_anywhere() -> None:
    known = names_known([{"solo": 0.9, "arm_up": 0.01}, {"crossed_arms": 0.5}])
    assert known == {"arm_up", "crossed_arms"}


def seen(framing: Framing | None, missing: str = "") -> Measurement:
    face = None if framing is None else Face(0.0, 0.0, 0.0, (0, 0, 9, 9), 0.2, 2.0, framing)
    backend = "" if missing.startswith("not measured") else "mediapipe FaceMesh"
    return Measurement("", 512, 512, 2.0, 0, 0, face=face, missing=missing, backend=backend)


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (seen("upper body"), 1.0),
        (seen("close-up"), 0.0),
        (seen(None, "no face found"), 0.0),
        (seen(None, "not measured: pip install …"), 0.6),
        (None, 0.6),
    ],
)
def test_framing_is_read_off_the_face_where_somebody_looked(measurement: Measurement | None, expected: float) -> None:
    tags = {"upper_body": 0.6}
    assert score("upper body", tags, frozenset(tags), measurement) == expected


def test_a_pose_is_read_off_the_tags_only() -> None:
    assert score("hand raised", None, frozenset({"arm_up"}), seen("upper body")) is None
    assert score("hand raised", {"arm_up": 0.4}, frozenset({"arm_up"}), seen("upper body")) == 0.4
