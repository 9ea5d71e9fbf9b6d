from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.evaluation.meanwhile import BATCH, measured_meanwhile
from orchestrator.render.engine import Picture
from orchestrator.render.recipe import Recipe


def picture(number: int, error: str = "") -> Picture:
    return Picture(Path(f"{number}.png"), Recipe(prompt="a"), str(number), error=error)


def test_pictures_are_measured_while_others_arrive() -> None:
    seen: list[Path] = []
    enough = threading.Event()

    def measure(paths: Sequence[Path]) -> None:
        seen.extend(paths)
        if len(seen) >= 3:
            enough.set()

    with measured_meanwhile(measure) as measure_soon:
        for number in range(3):
            measure_soon(picture(number))
        measure_soon(picture(9, error="failed"))
        assert enough.wait(60)
    assert seen == [Path("0.png"), Path("1.png"), Path("2.png")]


def test_leaving_waits_for_the_batch_at_hand_and_leaves_the_rest() -> None:
    batches: list[int] = []
    going = threading.Event()

    def slow(paths: Sequence[Path]) -> None:
        batches.append(len(paths))
        going.set()
        time.sleep(0.05)

    with measured_meanwhile(slow) as measure_soon:
        measure_soon(picture(0))
        assert going.wait(60)
        for number in range(10 * BATCH):
            measure_soon(picture(number))
    assert sum(batches) < 10 * BATCH
    assert max(batches) <= BATCH


def test_an_error_ends_the_measuring_and_not_the_drawing() -> None:
    def fails(paths: Sequence[Path]) -> None:
        raise StorageError("full")

    with measured_meanwhile(fails) as measure_soon:
        for number in range(5):
            measure_soon(picture(number))


def test_an_error_of_the_drawing_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt), measured_meanwhile(lambda paths: None):
        raise KeyboardInterrupt
