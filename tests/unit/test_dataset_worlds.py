"""Two hundred random datasets whose truth is known: every lock is foretold, and balanced ones are left alone."""

from __future__ import annotations

import os
import random
from dataclasses import replace

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


def test_all_pairs_at_once_are_those_of_the_rule_for_two() -> None:
    from itertools import combinations

    from orchestrator.dataset.about_files import near_pairs
    from orchestrator.dataset.view import Measured
    from orchestrator.vision import near_copy

    chance = random.Random(3)
    first = numbers(WORLDS[0])
    ones = []
    for number, (picture, found) in enumerate(zip(pictures(WORLDS[0]), first, strict=True)):
        other = chance.choice(first)
        colours = bytearray.fromhex(other.colours)
        for place in chance.sample(range(768), 8 * number):
            colours[place] = min(255, colours[place] + 9)
        grid = [colours[3 * at : 3 * at + 3] for at in range(256)]
        if number % 3 == 0:
            grid = [grid[at ^ 15] for at in range(256)]
        hashes = (other.dhash, other.dhash_mirror)
        straight, mirror = hashes[::-1] if number % 3 == 0 else hashes
        seen = replace(found, dhash=straight ^ (1 << number), dhash_mirror=mirror, colours=b"".join(grid).hex())
        ones.append(Measured(picture, replace(seen, colours="") if number in {4, 5} else seen))
    wanted = [
        (a.name, b.name, *near)
        for a, b in combinations(ones, 2)
        if (near := near_copy(a.measurement, b.measurement, 9, 0.02)) is not None
    ]
    assert len(wanted) > 5 and any(mirrored for *_, mirrored in wanted)
    assert [(a.name, b.name, *rest) for a, b, *rest in near_pairs(ones, 9, 0.02)] == wanted
