"""Pictures that were cut off are noticed by the server's flag and by the time they took."""

from __future__ import annotations

from orchestrator.a1111.models import ProgressState
from orchestrator.render.interruptions import Interruptions

KIND = (512, 512, 28)


def suspicious(watch: Interruptions, kind: tuple[int, ...], sent: float, answered: float) -> bool:
    return watch.judge(kind, sent, answered).suspicious


def steady(watch: Interruptions, count: int, seconds: float = 2.0, start: float = 0.0) -> float:
    """`count` pictures in a row, each sent while the one before is drawn; the time after the last."""
    now = start
    for _ in range(count):
        assert not suspicious(watch, KIND, now - seconds, now + seconds)
        now += seconds
    return now


def test_a_picture_that_took_much_less_than_usual_is_suspicious_and_the_next_is_not() -> None:
    watch = Interruptions()
    now = steady(watch, 8)
    assert suspicious(watch, KIND, now - 2, now + 1.2)
    assert not suspicious(watch, KIND, now, now + 3.2)


def test_one_that_seems_short_because_the_answer_before_was_late_is_not() -> None:
    watch = Interruptions()
    now = steady(watch, 8)
    assert not suspicious(watch, KIND, now - 2, now + 3.0)
    assert not suspicious(watch, KIND, now, now + 4.0)


def test_pictures_of_another_kind_are_not_compared() -> None:
    watch = Interruptions()
    now = steady(watch, 8)
    assert not suspicious(watch, (64, 64, 1), now - 1, now + 0.1)


def test_a_time_that_scatters_says_little() -> None:
    watch = Interruptions()
    now = 0.0
    for seconds in (1.0, 3.0, 1.5, 2.5, 2.0, 1.2, 2.8):
        assert not suspicious(watch, KIND, now, now + seconds)
        now += seconds
    assert not suspicious(watch, KIND, now, now + 0.9)


def test_quick_pictures_are_not_judged_by_their_time() -> None:
    watch = Interruptions()
    now = steady(watch, 8, seconds=0.05)
    assert not suspicious(watch, KIND, now, now + 0.01)


def test_the_flag_while_something_runs_concerns_what_is_being_drawn() -> None:
    watch = Interruptions()
    watch.look(ProgressState(job="scripts_txt2img", job_count=1), 0.0)
    watch.look(ProgressState(job="scripts_txt2img", job_count=1, interrupted=True), 1.0)
    assert suspicious(watch, KIND, 0.5, 1.1)
    assert not suspicious(watch, KIND, 2.0, 4.0)


def test_the_flag_that_goes_up_and_stays_when_nothing_follows_concerns_the_last() -> None:
    watch = Interruptions()
    watch.look(ProgressState(), 0.0)
    watch.look(ProgressState(interrupted=True), 1.2)
    assert suspicious(watch, KIND, 0.5, 1.1)


def test_an_old_flag_of_an_idle_server_says_nothing() -> None:
    watch = Interruptions()
    watch.look(ProgressState(interrupted=True), 0.0)
    watch.look(ProgressState(interrupted=True), 1.0)
    assert not suspicious(watch, KIND, 0.5, 1.1)


def test_after_our_own_interrupt_what_was_in_flight_is_drawn_again() -> None:
    watch = Interruptions()
    watch.interrupted(1.0)
    assert suspicious(watch, KIND, 0.5, 1.1)


def test_the_first_pictures_are_judged_when_others_were_timed() -> None:
    watch = Interruptions()
    cut = watch.judge(KIND, 0.0, 0.7)
    assert (cut.early, cut.suspicious) == (True, False)
    assert watch.judge_late(KIND, cut.took, last=False) is None
    steady(watch, 4, start=0.7)
    assert watch.judge_late(KIND, cut.took, last=False) is True
    assert watch.judge_late(KIND, 2.0, last=False) is False


def test_of_a_few_pictures_the_much_shorter_one_is_drawn_again() -> None:
    watch = Interruptions()
    short = watch.judge(KIND, 0.0, 0.6)
    watch.judge(KIND, 0.6, 2.6)
    assert watch.judge_late(KIND, short.took, last=True) is True
    assert watch.judge_late(KIND, 2.0, last=True) is False


def test_a_server_that_became_quicker_is_not_suspected_for_ever() -> None:
    watch = Interruptions()
    now = steady(watch, 8)
    assert suspicious(watch, KIND, now - 1, now + 1.0)
    watch.was_whole(KIND)
    now += 1.0
    for _ in range(8):
        assert not suspicious(watch, KIND, now, now + 1.0)
        now += 1.0


def test_the_job_that_was_seen_flagged_is_found_by_its_time_stamp() -> None:
    watch = Interruptions()
    watch.look(ProgressState(job="x", job_count=1, interrupted=True, job_timestamp="20261125120000"), 100.0)
    assert watch.judge(KIND, 0.0, 2.0, "20261125120000").suspicious
    assert not watch.judge(KIND, 2.0, 4.0, "20261125120002").suspicious
