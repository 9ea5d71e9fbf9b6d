from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dataset.balance import Balance, propose
from orchestrator.dataset.model import DatasetPicture
from orchestrator.dataset.view import GroupView, Measured
from orchestrator.profile.model import Group, Limits
from orchestrator.vision.model import Face, Measurement

LIMITS = Limits()


def picture(group: str, number: int, *, roll: float = 0.0, dhash: int | None = None, sharp: float = 2.0) -> Measured:
    """A picture unlike every other, unless `dhash` says which it is like."""
    mark = random.Random(f"{group}{number}").getrandbits(64) if dhash is None else dhash
    face = Face(roll, 0.0, 0.0, (10, 10, 200, 200), 0.4, sharp, "close-up")
    colours = "".join(f"{(number * 37 + place * 11) % 251:02x}" for place in range(768))
    return Measured(
        DatasetPicture(Path(f"{number}.png"), group, "miku", group, f"{group}{number}"),
        Measurement(f"{group}{number}", 512, 512, sharp, mark, mark ^ (2**64 - 1), colours=colours, face=face),
    )


def group(name: str, count: int, repeats: int = 1, **how: float) -> GroupView:
    made = tuple(picture(name, number, **how) for number in range(count))  # type: ignore[arg-type]
    return GroupView(Group(name=name, repeats=repeats, sets=(f"{name} varied",)), made)


def steps(found: Balance, kind: str) -> list[str]:
    return [step.group for step in found.steps if step.kind == kind]


def test_groups_of_different_size_are_brought_together_by_repeats() -> None:
    found = propose([group("close-up", 20), group("full body", 10), group("upper body", 7)], LIMITS)
    assert found.repeats == {"close-up": 1, "full body": 2, "upper body": 3}
    assert found.ratio_now == pytest.approx(20 / 7)
    assert found.ratio_after <= LIMITS.imbalance
    assert steps(found, "repeat") == ["full body", "upper body"]


def test_a_balanced_set_needs_nothing() -> None:
    found = propose([group("close-up", 10), group("full body", 10)], LIMITS)
    assert found.steps == ()
    assert found.repeats == {"close-up": 1, "full body": 1}


def test_the_sharpest_of_copies_stays() -> None:
    view = group("close-up", 8)
    copy = dataclasses.replace(view.pictures[0].measurement, sha256="copy", sharpness=1.5)
    copy = dataclasses.replace(copy, face=dataclasses.replace(copy.face, sharpness=1.5))  # type: ignore[type-var]
    other = Measured(dataclasses.replace(view.pictures[0].picture, path=Path("copy.png")), copy)
    found = propose([GroupView(view.group, (other, *view.pictures))], LIMITS)
    assert [(one.picture.picture.path.name, "sharper" in one.why) for one in found.left_out] == [("copy.png", True)]


def test_a_group_is_never_thinned_until_it_dries_out() -> None:
    view = group("close-up", 5, dhash=7)
    same = tuple(dataclasses.replace(one, measurement=view.pictures[0].measurement) for one in view.pictures)
    found = propose([GroupView(view.group, same)], LIMITS)
    assert len(found.left_out) == 2
    broken = dataclasses.replace(view.pictures[0], measurement=Measurement("x", 0, 0, 0, 0, 0, missing="unreadable: x"))
    three = tuple(dataclasses.replace(broken) for _ in range(3))
    assert len(propose([GroupView(view.group, three)], LIMITS).left_out) == 3


def test_a_locked_lean_is_answered_with_the_command_that_straightens() -> None:
    (step,) = propose([group("close-up", 6, roll=12.0)], LIMITS).steps
    assert (step.kind, step.group) == ("straighten", "close-up")
    assert step.command.startswith("orchestrator pictures straighten 0.png")
    assert "+12.0°" in step.what


def test_a_group_too_small_for_repeats_is_to_be_made_larger() -> None:
    found = propose([group("close-up", 40), group("full body", 3)], LIMITS)
    (step,) = [one for one in found.steps if one.kind == "make"]
    assert step.command == 'orchestrator pictures make "full body varied"'
    assert step.what.startswith("7 more pictures")


@given(st.lists(st.integers(3, 60), min_size=1, max_size=5))
def test_repeats_never_make_the_balance_worse_and_reach_it_where_they_can(counts: list[int]) -> None:
    found = propose([group(f"g{index}", count) for index, count in enumerate(counts)], LIMITS)
    assert found.ratio_after <= found.ratio_now + 1e-9
    assert all(repeats >= 1 for repeats in found.repeats.values())
    if max(counts) <= 4 * min(counts):
        assert found.ratio_after <= LIMITS.imbalance
    assert found.to_dict()["ratio_after"] == found.ratio_after


def imported(name: str, count: int, **how: float) -> GroupView:
    view = group(name, count, **how)
    made = tuple(
        dataclasses.replace(one, picture=dataclasses.replace(one.picture, source="imported")) for one in view.pictures
    )
    return GroupView(Group(name=name, caption="{trigger}, full body, {tags}"), made)


def test_every_step_says_how_its_outcome_gets_into_the_dataset() -> None:
    (lean,) = propose([imported("close-up", 6, roll=12.0)], LIMITS).steps
    assert lean.command.endswith("5.png --into straight/close-up")
    assert lean.then == "orchestrator dataset import straight/close-up --group close-up --instead"
    (of_a_set,) = propose([group("close-up", 6, roll=12.0)], LIMITS).steps
    assert "folders" in of_a_set.then and "close-up" in of_a_set.then
    (more,) = [
        one for one in propose([imported("close-up", 40), imported("full body", 3)], LIMITS).steps if one.kind == "make"
    ]
    assert more.command.startswith("orchestrator pictures vary") and '--prompt "…, full body"' in more.command
    assert more.then == 'orchestrator dataset import "pictures/full body varied" --group "full body"'
