"""When a training is stopped by itself, judged from numbers."""

from __future__ import annotations

import pytest

from orchestrator.profile.model import Guard
from orchestrator.training.guards import Facts, Pace, PhaseName, Stop, allowed_s, diagnose, low_disk, stalled

GUARD = Guard(stalled_factor=30, stalled_minutes=10, start_minutes=30)


def _pace(step_s: float, steps: int = 60, start: float = 1000.0, looks: float = 0.2) -> tuple[Pace, float]:
    """A pace seen by somebody who looks every `looks` seconds at a trainer that takes `step_s` a step."""
    pace, now, end = Pace(), start, start + steps * step_s
    while now < end:
        now += looks
        if done := int((now - start) / step_s):
            pace.step(now, done)
    return pace, now


@pytest.mark.parametrize("step_s", [0.05, 0.31, 1.3, 71.0])
def test_the_usual_time_is_right_although_steps_are_seen_late(step_s: float) -> None:
    pace, _ = _pace(step_s, steps=max(int(20 / step_s), 12))
    assert pace.median_s == pytest.approx(step_s, rel=0.12)


def test_before_there_is_enough_to_tell_the_bar_is_believed() -> None:
    pace = Pace(told_s=3.0)
    assert pace.median_s is None and pace.usual_s == 3.0 and pace.left_s(10) == 30.0
    assert Pace().left_s(10) is None


def test_what_is_left_counts_the_pauses_between_the_steps() -> None:
    """100 steps of 2 s, and every 10th is followed by 30 s of saving: 1000 more take 2000 + 3000 s."""
    pace, now = Pace(), 0.0
    for step in range(1, 101):
        now += 2.0 + (30.0 if step % 10 == 1 else 0.0)
        pace.step(now, step)
    assert pace.median_s == pytest.approx(2.0)
    assert pace.left_s(1000) == pytest.approx(5000, rel=0.15)


def test_only_a_long_time_without_a_step_is_a_stall() -> None:
    pace, now = _pace(1.0)
    assert stalled(pace, "steps", 0, now + 590, GUARD) is None
    stop = stalled(pace, "steps", 0, now + 700, GUARD)
    assert stop is not None and stop.kind == "stalled"
    assert "no step for 12 minutes in the middle of training (a step takes 1 s otherwise)" in stop.text


def test_slow_steps_have_more_time() -> None:
    pace, now = _pace(71.0)
    assert allowed_s(pace, "steps", GUARD) == pytest.approx(30 * 71, rel=0.05)
    assert stalled(pace, "steps", 0, now + 30 * 60, GUARD) is None
    assert stalled(pace, "steps", 0, now + 40 * 60, GUARD) is not None


def test_fast_steps_have_stalled_before_anything_is_known_of_their_time() -> None:
    pace = Pace()
    assert allowed_s(pace, "steps", GUARD) == GUARD.start_minutes * 60
    pace.step(0.0, 1)
    assert pace.usual_s is None
    assert allowed_s(pace, "steps", GUARD) == GUARD.stalled_minutes * 60


def test_words_are_no_steps() -> None:
    """A trainer that warns for ever and trains nothing is stalled all the same."""
    pace, now = _pace(1.0)
    assert stalled(pace, "steps", quiet_s=0.1, now=now + 700, guard=GUARD) is not None


@pytest.mark.parametrize("phase", ["sampling", "saving", "validation"])
def test_between_steps_silence_counts(phase: PhaseName) -> None:
    pace, now = _pace(1.0)
    assert stalled(pace, phase, quiet_s=5.0, now=now + 5000, guard=GUARD) is None
    assert stalled(pace, phase, quiet_s=601.0, now=now + 601, guard=GUARD) is not None


@pytest.mark.parametrize("phase", ["start", "latents", "steps"])
def test_the_start_may_take_longer(phase: PhaseName) -> None:
    assert stalled(Pace(), phase, quiet_s=29 * 60, now=29 * 60, guard=GUARD) is None
    assert stalled(Pace(), phase, quiet_s=31 * 60, now=31 * 60, guard=GUARD) is not None


def test_the_bar_printed_anew_after_long_sampling_is_a_sign_of_life() -> None:
    pace, now = _pace(1.0)
    pace.step(now + 1500, 60)
    assert stalled(pace, "steps", 0, now + 1501, GUARD) is None


def test_a_machine_that_slept_has_not_stalled() -> None:
    pace, now = _pace(1.0)
    pace.slept(now + 8 * 3600)
    assert stalled(pace, "steps", 0, now + 8 * 3600 + 5, GUARD) is None
    usual = pace.median_s
    pace.step(now + 8 * 3600 + 6, 61)
    pace.step(now + 8 * 3600 + 9, 64)
    assert pace.median_s == usual  # the hours are in no step's time


def test_a_save_that_does_not_fit_is_known_before() -> None:
    assert low_disk(400_000_000, 400_000_000) is None
    assert low_disk(38_000_000, 265_000_000) == Stop(
        "disk", "only 38 MB are free, and the next save needs 265 MB"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts(0, "", None), "gone"),
        (Facts(2, "stopped", 0.0), "halted"),
        (Facts(1, "disk-sleep", 0.0), "network drive"),
        (Facts(1, "sleeping", 0.001), "does nothing"),
        (Facts(1, "running", 0.99), "99% of a core"),
        (Facts(1, "sleeping", None), "not measured"),
    ],
)
def test_a_silent_process_is_described(facts: Facts, words: str) -> None:
    assert words in diagnose(facts, "steps")


def test_a_start_that_waits_may_wait_for_the_network() -> None:
    assert "network" in diagnose(Facts(1, "sleeping", 0.0), "start")
