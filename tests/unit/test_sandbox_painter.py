"""The painter: deterministic pictures of any size, people that can be blended, words that are understood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.sandbox.drawing import chance
from orchestrator.sandbox.person import DIALS, Person, blend, from_values, mean_person, person_of, to_values
from orchestrator.sandbox.portrait import (
    ARMS,
    FRAMINGS,
    GARMENTS,
    SCENES,
    Background,
    Framing,
    Outfit,
    Portrait,
    draw,
)
from tests.portraits import portrait

PERSON = 11


@pytest.mark.parametrize("size", [(512, 512), (512, 768), (640, 360), (64, 64), (1024, 1024), (16, 16), (97, 333)])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_size_is_drawn_as_asked(size: tuple[int, int], framing: Framing) -> None:
    image = draw(portrait(PERSON, framing), *size)
    assert image.size == size
    assert image.mode == "RGB"
    assert np.asarray(image).std() > 8, "the picture is nearly one colour"


def test_too_small_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="16 x 16"):
        draw(portrait(PERSON), 15, 64)


def test_the_same_portrait_gives_the_same_pixels_and_the_noise_seed_others() -> None:
    first = draw(portrait(PERSON), 256, 256).tobytes()
    assert draw(portrait(PERSON), 256, 256).tobytes() == first
    assert draw(portrait(PERSON, noise_seed=5), 256, 256).tobytes() != first


def test_every_kind_of_thing_changes_the_picture() -> None:
    plain = portrait(PERSON, "full body")
    others = [replace(plain, arms=arms) for arms in ARMS[1:]]
    others += [replace(plain, background=Background(scene)) for scene in SCENES if scene != plain.background.scene]
    others += [replace(plain, outfit=Outfit(garment)) for garment in GARMENTS if garment != plain.outfit.garment]
    others += [replace(plain, roll_deg=20.0), replace(plain, smile=1.0), replace(plain, blur=2.0)]
    pictures = {draw(one, 256, 256).tobytes() for one in [plain, *others]}
    assert len(pictures) == len(others) + 1


def test_every_dial_of_a_person_shows() -> None:
    middle = Portrait(person=Person(), grain=0.0)
    for name in DIALS:
        ends = [replace(middle, person=replace(Person(), **{name: value})) for value in (0.0, 1.0)]
        low, high = (np.asarray(draw(one, 256, 256), dtype=int) for one in ends)
        changed = (np.abs(low - high).max(axis=2) > 12).sum()
        assert changed > 15, f"turning {name} changes {changed} pixels"


def test_the_head_leans_clockwise_for_a_positive_roll() -> None:
    """The crown goes to screen right: dark hair on a pale wall moves there."""
    person = replace(person_of(11), hair_light=0.0, hair_length=0.0)
    wall = Background("plain", (220, 224, 230))

    def crown(roll: float) -> float:
        image = draw(Portrait(person=person, roll_deg=roll, background=wall), 256, 256).convert("L")
        top = np.asarray(image)[:90] < 110
        return float(np.nonzero(top)[1].mean())

    assert crown(20) > crown(0) + 10 > crown(-20) + 20


def test_the_mark_is_in_the_corner_and_nowhere_near_the_face() -> None:
    marked = draw(portrait(PERSON, grain=0.0, background=Background("plain", (120, 130, 140))), 512, 512)
    corner = np.asarray(marked.convert("L").crop((400, 470, 512, 512)))
    assert corner.max() > 200, "the mark's letters are missing"


def test_a_person_needs_all_dials_and_stays_within_them() -> None:
    with pytest.raises(ValueError, match=str(len(DIALS))):
        from_values([0.5])
    assert set(to_values(from_values([7.0] * len(DIALS)))) == {1.0}
    with pytest.raises(ValueError, match="no people"):
        mean_person([])


@given(st.integers(0, 2**32), st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=40)
def test_a_blend_lies_between_both(a: int, b: int, share: float) -> None:
    one, other = person_of(a), person_of(b)
    for low, high, value in zip(to_values(one), to_values(other), to_values(blend(one, other, share)), strict=True):
        assert min(low, high) - 1e-9 <= value <= max(low, high) + 1e-9


def test_strangers_are_strangers() -> None:
    """No two of a hundred seeds give nearly the same person."""
    people = np.array([to_values(person_of(seed)) for seed in range(100)])
    distance = np.sqrt(((people[:, None] - people[None]) ** 2).mean(axis=2)) + np.eye(100)
    assert distance.min() > 0.15


@given(st.text(max_size=8), st.integers())
def test_chance_is_within_bounds_and_repeatable(word: str, number: int) -> None:
    assert 0.0 < chance.uniform(word, number) < 1.0
    assert chance.normal(word, number) == chance.normal(word, number)
    assert chance.choice("abc", word, number) in "abc"


def test_chance_is_the_same_everywhere() -> None:
    """Fixed numbers: a change here would change every simulated picture."""
    assert chance.uniform("a", 1) == pytest.approx(0.5141306901658262, abs=1e-12)
    assert chance.normal("b") == pytest.approx(-0.6975306227145949, abs=1e-9)
    assert chance.whole("x") == 762385986


def test_drawing_leaves_shared_pictures_alone() -> None:
    """Backgrounds are remembered between pictures; drawing must not paint into them."""
    first = draw(portrait(PERSON, "upper body"), 128, 128)
    draw(portrait(PERSON, "upper body", arms="arms crossed"), 128, 128)
    again = draw(portrait(PERSON, "upper body"), 128, 128)
    assert first.tobytes() == again.tobytes()
