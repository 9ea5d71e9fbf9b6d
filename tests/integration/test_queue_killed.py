"""Killed at random moments, the queue comes to its end all the same: a few times always, fifty times with --night."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.queue_kills import Kills


def test_killed_four_times_everything_finishes_and_nothing_is_done_twice(ugly_path: Path) -> None:
    kills = Kills(ugly_path, rounds=4, seed=20261127, epochs=5, kinds=("worker", "trainer"), behind=1)
    kills.run()
    kills.check()


@pytest.mark.night
def test_killed_fifty_times_everything_finishes_and_nothing_is_done_twice(ugly_path: Path) -> None:
    kills = Kills(ugly_path, rounds=50, seed=20261126)
    kills.run()
    kills.check()
    print(f"kills {dict(kills.killed)}, came last {kills.came_last}, slowest start {kills.slowest_s:.1f} s")
