"""Where img2img loses the person: two faces to hold a result against, and no claim where they tell nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.evaluation.identity_loss import Kept, how_told, kept, where_lost
from orchestrator.vision.model import NO_FACE, TOO_SMALL, Face, Measurement
from orchestrator.vision.person import own_spread


def face(at: float, *, sharpness: float = 2.5, height: int = 200) -> Measurement:
    """A face whose embedding lies `at` on a line."""
    found = Face(0, 0, 0, (0, 0, 150, height), 0.4, sharpness, "close-up")
    return Measurement(
        "0" * 64, 512, 512, 2.0, 0, 0, face=found, identity=(at, 0.0), embedding_name="line", backend="faces"
    )


SOURCE, PROMPT = face(0.0), face(0.4)


@pytest.mark.parametrize(
    ("at", "state"), [(0.05, "held"), (0.19, "held"), (0.21, "lost"), (0.4, "lost"), (-0.61, "lost"), (-0.3, "held")]
)
def test_a_face_belongs_to_the_nearer_one_and_to_none_beyond_the_mark(at: float, state: str) -> None:
    assert kept(SOURCE, face(at), PROMPT, own=None).state == state


def test_what_lies_within_the_persons_own_spread_is_the_person() -> None:
    assert kept(SOURCE, face(0.24), PROMPT, own=0.25).state == "held"
    assert kept(SOURCE, face(0.26), PROMPT, own=0.25).state == "lost"


def test_where_the_prompt_draws_the_same_person_nothing_is_claimed() -> None:
    found = kept(SOURCE, face(0.3), face(0.2), own=0.25)
    assert (found.state, found.why) == ("unsure", "the prompt alone draws the same face")


def test_without_a_face_to_compare_with_only_the_ends_are_sure() -> None:
    for at, state in ((0.1, "held"), (0.3, "unsure"), (0.7, "lost")):
        assert kept(SOURCE, face(at), None, own=0.2).state == state
    assert kept(SOURCE, face(0.1), None, own=None).state == "unsure"


def test_a_blurred_or_small_face_is_not_called_somebody_else() -> None:
    assert kept(SOURCE, face(0.3, sharpness=1.5), PROMPT, own=None).state == "unsure"
    assert kept(SOURCE, face(0.3, height=44), PROMPT, own=None).state == "unsure"
    assert kept(SOURCE, face(0.3, sharpness=1.6, height=46), PROMPT, own=None).state == "lost"


def test_no_face_is_a_lost_one_and_what_nobody_measured_is_not() -> None:
    gone = replace(face(0.0), face=None, identity=None, missing=NO_FACE)
    unmeasured = replace(gone, missing="not measured: install the extra", backend="")
    assert kept(SOURCE, gone, PROMPT, own=None).state == "lost"
    assert kept(gone, SOURCE, PROMPT, own=None).state == "not measured"
    assert kept(SOURCE, unmeasured, PROMPT, own=None) == Kept("not measured", why="install the extra")
    assert kept(SOURCE, replace(face(0.1), identity=None, missing=TOO_SMALL), PROMPT, own=None).state == "not measured"
    assert kept(SOURCE, replace(face(0.1), embedding_name="other"), PROMPT, own=None).state == "not measured"


def test_the_own_spread_needs_three_faces_and_ends_at_the_mark() -> None:
    assert own_spread([face(0), face(0.1)]) is None
    assert own_spread([face(0), face(0.1), face(0.3)]) == pytest.approx(0.3)
    assert own_spread([face(0), face(0.1), face(3)]) == 0.6
    # 190 pairs of 20 faces: the one that is turned away counts in 19 of them, the highest twentieth is left out.
    assert own_spread([face(i / 100) for i in range(20)]) == pytest.approx(0.15, abs=0.011)
    assert "(0.25)" in how_told(0.25)
    assert "apart" not in how_told(None)


def states(*found: str) -> dict[float, list[Kept]]:
    names = {"h": "held", "l": "lost", "u": "unsure", "n": "not measured"}
    return {(index + 2) / 10: [Kept(names[s]) for s in each] for index, each in enumerate(found)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (("h", "h", "l", "l"), "identity holds up to 0.3, lost from 0.4"),
        (("h", "u", "l"), "identity holds up to 0.2, is in doubt at 0.3, lost from 0.4"),
        (("h", "l", "h", "l"), "identity holds up to 0.2, is in doubt at 0.3, 0.4, lost from 0.5"),
        (("h", "h"), "identity holds up to 0.3, the highest tried"),
        (("l", "l"), "identity is lost from 0.2, the lowest tried"),
        (("u", "l"), "identity is in doubt at 0.2, lost from 0.3"),
        (("h", "u"), "identity holds up to 0.2, is in doubt at 0.3"),
        (("hhl", "hll", "lll"), "identity holds up to 0.2, lost from 0.3"),
        (("hl", "l"), "identity is in doubt at 0.2, lost from 0.3"),
        (("h", "n", "l"), "identity holds up to 0.2, lost from 0.4"),
        (("n", "n"), "identity was not measured (no picture)"),
    ],
)
def test_the_point_of_loss_in_words(found: tuple[str, ...], sentence: str) -> None:
    assert where_lost("a.png", states(*found)).sentence == sentence


@given(st.lists(st.sampled_from(["h", "l", "u", "n", "hl"]), min_size=1, max_size=9))
def test_what_holds_lies_below_what_is_lost(found: list[str]) -> None:
    loss = where_lost("a.png", states(*found))
    if loss.holds_up_to is not None and loss.lost_from is not None:
        assert loss.holds_up_to < loss.lost_from
