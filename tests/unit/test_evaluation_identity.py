"""Identity between this project's own anchors, and the head tilt beside the baseline's."""

from __future__ import annotations

import random

import pytest

from orchestrator.evaluation.identity import Anchors, Scale, find_centres, set_baselines
from orchestrator.evaluation.tilt import tilt


def persons(
    draw: random.Random, centre: list[float], spread: float, count: int, framing: str = "close-up"
) -> list[tuple[str, list[float]]]:
    return [(framing, [c + draw.gauss(0, spread) for c in centre]) for _ in range(count)]


@pytest.fixture
def anchors() -> Anchors:
    draw = random.Random(1)
    own = find_centres(persons(draw, [0.0] * 128, 0.01, 30), "dlib")
    return set_baselines(own, {"a": ("", [0.5, 0.6, 0.7]), "b": ("", [0.4])})


def test_the_ends_of_the_scale_are_the_dataset_and_the_baseline(anchors: Anchors) -> None:
    own = anchors.centres[""].own_distance
    assert own == pytest.approx(0.01 * 128**0.5, rel=0.1)
    assert anchors.identity("a", own) == 1.0
    assert anchors.identity("a", 0.6) == 0.0
    assert anchors.identity("a", (0.6 + own) / 2) == pytest.approx(0.5)
    # copying is not better than being the person, and another stranger is not worse than the baseline's
    assert anchors.identity("a", 0.0) == 1.0
    assert anchors.identity("a", 2.0) == 0.0


def test_each_round_has_its_own_scale(anchors: Anchors) -> None:
    assert anchors.identity("b", 0.4) == 0.0
    assert (anchors.identity("a", 0.4) or 0.0) > 0.3
    assert anchors.identity("never drawn", 0.4) is None


def test_a_new_picture_of_the_person_is_as_near_as_the_datasets_own() -> None:
    """The anchor takes each picture against the others.

    With its own centre every picture of a small dataset would look nearer.
    """
    draw = random.Random(2)
    ratios = []
    for _ in range(20):
        own = find_centres(persons(draw, [0.0] * 128, 0.02, 5))
        fresh = persons(draw, [0.0] * 128, 0.02, 20)
        ratios.append(sum(own.distance(p) for _, p in fresh) / 20 / own.centres[""].own_distance)
    assert sum(ratios) / 20 == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_faces_in_the_dataset_are_no_scale(count: int) -> None:
    anchors = set_baselines(find_centres([("close-up", [0.1] * 128)] * count), {"a": ("", [0.5])})
    assert anchors.identity("a", 0.3) is None
    assert "dataset" in anchors.not_measured[""]


def test_a_baseline_that_is_the_person_already_is_no_scale() -> None:
    own = find_centres(persons(random.Random(3), [0.0] * 128, 0.02, 10))
    anchors = set_baselines(own, {"a": ("", [own.centres[""].own_distance + 0.01]), "b": ("", [])})
    assert anchors.identity("a", 0.1) is None
    assert "without LoRA" in anchors.not_measured["a"]
    assert "without LoRA" in anchors.not_measured["b"]


def test_embeddings_of_two_kinds_are_never_compared(anchors: Anchors) -> None:
    with pytest.raises(ValueError, match="512"):
        anchors.distance([0.0] * 512)


def test_each_framing_with_enough_pictures_has_its_own_centre() -> None:
    draw = random.Random(8)
    near, far = [0.0] * 128, [0.02] * 128
    faces = (
        persons(draw, near, 0.01, 5)
        + persons(draw, far, 0.01, 5, "upper body")
        + persons(draw, near, 0.01, 2, "full body")
    )
    own = find_centres(faces)
    assert set(own.centres) == {"", "close-up", "upper body"}
    assert own.centres["upper body"].own_distance < own.centres[""].own_distance
    assert own.framing("upper body") == "upper body"
    assert own.framing("full body") == own.framing(None) == ""
    assert own.distance(far, "upper body") < 0.1 < own.distance(far, "close-up")


def test_a_scale_is_even() -> None:
    scale = Scale("", 0.2, 0.6)
    assert [scale.identity(d) for d in (0.1, 0.2, 0.4, 0.6, 0.9)] == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def rolls(draw: random.Random, centre: float, spread: float, seeds: int = 8) -> dict[tuple[str, int], float]:
    return {(name, seed): draw.gauss(centre, spread) for name in ("a", "b", "c") for seed in range(seeds)}


def test_a_locked_tilt_is_seen() -> None:
    draw = random.Random(4)
    found = tilt(rolls(draw, 12.0, 1.0), rolls(draw, 0.0, 6.0))
    assert found is not None
    assert found.locked
    assert found.mean_roll == pytest.approx(12.0, abs=1)
    assert found.baseline_spread > 4 * found.spread


def test_chance_locks_hardly_any_cell() -> None:
    draw = random.Random(5)
    locked = 0
    for _ in range(400):
        found = tilt(rolls(draw, 0.0, 6.0), rolls(draw, 0.0, 6.0))
        locked += found is not None and found.locked
    assert locked <= 4


@pytest.mark.parametrize(
    ("centre", "spread"), [(12.0, 6.0), (0.0, 1.0), (1.5, 0.5)], ids=["only moved", "only calmer", "moved by nothing"]
)
def test_a_shift_or_a_calm_alone_is_no_lock(centre: float, spread: float) -> None:
    found = tilt(rolls(random.Random(6), centre, spread), rolls(random.Random(7), 0.0, 6.0))
    assert found is not None
    assert not found.locked


def test_rounds_that_lean_differently_are_no_spread() -> None:
    leaning = {(name, seed): lean for name, lean in (("a", -20.0), ("b", 20.0)) for seed in range(4)}
    found = tilt(leaning, leaning)
    assert found is not None
    assert found.spread == 0.0
    assert not found.locked


def test_only_places_where_both_have_a_face_count() -> None:
    assert tilt({("a", 1): 3.0}, {("a", 1): 0.0}) is None
    assert tilt({("a", 1): 3.0, ("a", 2): 4.0}, {("a", 3): 0.0, ("a", 4): 0.0}) is None
