"""Two hundred random datasets whose truth is known: every lock is foretold, and balanced ones are left alone."""

from __future__ import annotations

import os

from orchestrator.dataset import CheckResult, check
from orchestrator.dataset.foretell import foretell
from orchestrator.dataset.view import views
from orchestrator.profile.model import Limits
from tests.dataset_worlds import TRIGGER, World, numbers, pictures, world

#: Another number tries other worlds: ORCHESTRATOR_WORLDS=1000 pytest tests/unit/test_dataset_worlds.py
FIRST = int(os.environ.get("ORCHESTRATOR_WORLDS", "0"))
WORLDS = [world(seed) for seed in range(FIRST, FIRST + 200)]


def checked(made: World) -> CheckResult:
    return check(pictures(made), numbers(made), Limits(), made.groups, trigger=TRIGGER)


def locked(result: CheckResult, kind: str = "") -> set[str]:
    return {one.group for one in result.findings if one.level == "locked in" and kind in {"", one.kind}}


def test_every_tilted_group_is_said_to_be_locked_in_and_to_the_right_side() -> None:
    tilted = [made for made in WORLDS if made.tilted]
    assert len(tilted) == 100
    for made in tilted:
        result = checked(made)
        assert result.verdict == "will lock"
        assert set(made.tilted) <= locked(result, "lean"), f"world {made.seed}"
        for finding in result.findings:
            if finding.kind == "lean" and finding.level == "locked in" and finding.group in made.tilted:
                estimate = finding.estimate
                assert estimate is not None
                assert estimate.value * made.tilted[finding.group] > 0  # type: ignore[index]
                assert finding.sure.startswith("95 % sure: ")


def test_balanced_worlds_are_left_alone() -> None:
    balanced = [made for made in WORLDS if made.is_balanced]
    alarmed = {made.seed: locked(checked(made)) for made in balanced if locked(checked(made))}
    assert len(balanced) == 100
    assert len(alarmed) <= 0.05 * len(balanced), alarmed


def test_the_intervals_hold_the_true_lean_as_often_as_they_say() -> None:
    inside = []
    for made in WORLDS:
        for row in checked(made).groups:
            mean = row.angles["roll"].mean
            assert mean.low is not None and mean.high is not None
            inside.append(mean.low <= made.tilted.get(row.group, 0.0) <= mean.high)  # type: ignore[call-overload]
    assert 0.92 <= sum(inside) / len(inside) <= 0.98


def test_copies_are_found_and_nothing_else_is_called_one() -> None:
    for made in WORLDS:
        found = [one.pictures for one in checked(made).findings if one.kind == "duplicates"]
        wanted = [(f"{framing}/0000.png", f"{framing}/{number:04d}.png") for framing, number in made.copies]
        assert found == wanted, f"world {made.seed}"


def test_one_outfit_and_one_background_are_said_to_be_locked_in() -> None:
    for seed in range(1, 21, 2):
        kinds = {one.kind for one in checked(world(seed, uniform=True)).findings if one.level == "locked in"}
        assert {"one outfit", "one background"} <= kinds


def test_what_is_foretold_has_the_sign_of_the_tilt() -> None:
    for made in WORLDS[:40]:
        told = {
            one.framing: one
            for one in foretell(views(pictures(made), numbers(made), made.groups))
            if one.what == "roll"
        }
        for framing, tilt in made.tilted.items():
            assert told[framing].value * tilt > 0
            assert abs(told[framing].value) < abs(tilt) + 2
