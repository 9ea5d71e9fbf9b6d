"""What a picture set of the profile stands for: which pictures, seeds and batches; old sets stay what they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.errors import InputError
from orchestrator.pictures import sets
from orchestrator.pictures.price import Price, duration, refuse_dear, together
from orchestrator.profile.model import PictureSet


def places(sources: int, **fields: object) -> list[tuple[int, str, int, int, int]]:
    picture_set = PictureSet(name="x", prompt="p", source="y" if sources else "", **fields)  # type: ignore[arg-type]
    return [(p.source, p.change, p.seed, p.batch_size, p.batch_position) for p in sets._places(picture_set, sources)]


def test_seeds_each_is_the_full_product() -> None:
    found = places(2, changes=("smile", "hat"), seeds_each=3, first_seed=10)
    assert len(found) == 2 * 2 * 3
    assert {(source, change) for source, change, *_ in found} == {(0, "smile"), (0, "hat"), (1, "smile"), (1, "hat")}
    assert [seed for _, _, seed, *_ in found] == [10, 11, 12] * 4


def test_a_count_deals_changes_and_sources_out_as_ever() -> None:
    found = places(3, changes=("smile", "hat"), count=6, first_seed=5)
    assert [(source, change, seed) for source, change, seed, *_ in found] == [
        (0, "smile", 5), (1, "hat", 6), (2, "smile", 7), (0, "hat", 8), (1, "smile", 9), (2, "hat", 10),
    ]  # fmt: skip


def test_batches_hold_consecutive_seeds_and_the_last_may_be_smaller() -> None:
    found = places(0, count=7, batch_size=3)
    assert [(seed, size, at) for _, _, seed, size, at in found] == [
        (1, 3, 0), (2, 3, 1), (3, 3, 2), (4, 3, 0), (5, 3, 1), (6, 3, 2), (7, 1, 0),
    ]  # fmt: skip
    for _, _, seed, size, at in places(2, changes=("a", "b"), seeds_each=5, batch_size=4):
        assert (seed - at) in (1, 5)
        assert size == (4 if seed < 5 else 1)


def test_fields_that_profiles_did_not_have_do_not_change_a_plan() -> None:
    before = {"name", "prompt", "count", "first_seed", "loras", "source", "changes", "denoising_strength", "straighten"}
    assert set(sets._said(PictureSet(name="x", prompt="p", count=3))) == before
    assert set(sets._said(PictureSet(name="x", prompt="p", seeds_each=3))) == before | {"seeds_each"}
    assert set(sets._said(PictureSet(name="x", prompt="p", count=3, alwayson_scripts={"ADetailer": {}}))) == before | {
        "alwayson_scripts"
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"count": 3, "seeds_each": 2}, "not both"),
        ({"count": 3, "mask": "m.png"}, "mask needs a source"),
        ({"count": 3, "batch_size": 2, "changes": ("a",)}, "give seeds_each instead"),
        ({"picked": True, "count": 3}, "filled by hand"),
        ({"count": 3, "first_seed": 2**63 - 2}, "larger than A1111 takes"),
        ({}, "give a count"),
    ],
)
def test_what_cannot_be_is_said(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PictureSet(name="x", prompt="p", **fields)  # type: ignore[arg-type]


def test_a_price_in_words() -> None:
    assert str(Price(30, 12, 250.0)) == "30 pictures, 12 of them already made, ~4 min"
    assert str(Price(30, 12)) == "30 pictures, 12 of them already made"
    assert str(Price(1, 1, 0.0)) == "1 picture, all of them already made"
    assert duration(4200) == "~1 h 10 min"
    assert duration(3599) == "~1 h 00 min"
    assert together([Price(3, 3), Price(4, 1, 9.0)]) == Price(7, 4, 9.0)
    assert together([Price(3, 0), Price(4, 1, 9.0)]).seconds is None


def test_much_is_asked_for_twice() -> None:
    refuse_dear(Price(300, 0), "a ramp")
    refuse_dear(Price(5000, 0, 3000.0), "a ramp")
    refuse_dear(Price(5000, 5000), "a ramp")
    for price in (Price(301, 0), Price(10, 0, 3700.0)):
        with pytest.raises(InputError, match="a ramp = ") as caught:
            refuse_dear(price, "a ramp")
        assert "--yes" in caught.value.fix
