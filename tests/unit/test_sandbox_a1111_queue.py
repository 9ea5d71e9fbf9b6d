"""The queue is strictly first come, first served; tasks and options keep the real server's traps."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.sandbox.a1111.failures import ServerError
from orchestrator.sandbox.a1111.options import Options
from orchestrator.sandbox.a1111.state import State
from orchestrator.sandbox.a1111.tasks import Tasks
from orchestrator.sandbox.a1111.turns import Queue


def test_turns_come_in_the_order_they_were_taken_not_the_order_threads_run() -> None:
    queue, order = Queue(), []
    turns = [queue.turn() for _ in range(8)]

    def work(number: int) -> None:
        with turns[number]:
            order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in reversed(range(8))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert order == list(range(8))


def test_a_turn_given_up_does_not_block_the_queue() -> None:
    queue = Queue()
    first, second, third = queue.turn(), queue.turn(), queue.turn()
    second.leave()
    first.leave()
    with third:
        pass
    with queue.turn():
        pass


def test_failed_tasks_never_complete_and_only_sixteen_are_remembered() -> None:
    tasks = Tasks()
    lost = tasks.queue("lost", "txt2img")
    for number in range(17):
        tasks.start(tasks.queue(f"t{number}", "txt2img"))
        tasks.finish(f"t{number}")
    assert tasks.pending() == [lost]
    assert not tasks.completed("t0")
    assert tasks.completed("t1") and tasks.completed("t16")
    tasks.start(tasks.queue("fails", "txt2img"))
    assert tasks.current == "fails" and not tasks.completed("fails")


def test_an_interrupt_cuts_the_wait_and_the_flag_stays_until_the_next_job() -> None:
    state = State()
    state.interrupt()
    state.begin("a")
    assert not state.interrupted
    threading.Timer(0.05, state.interrupt).start()
    share = state.sample(20, 600.0, time.monotonic(), Image.new("RGB", (8, 8)))
    assert share < 0.5
    state.end()
    assert state.interrupted and state.progress() == (0.0, 0.0)


def test_progress_follows_the_clock_and_previews_begin_at_step_ten() -> None:
    state = State()
    state.begin("a")
    assert state.progress()[0] == pytest.approx(0.01)
    state.job_count = 2
    early, late = [], []
    picture = Image.new("RGB", (64, 64), "red")

    def look() -> None:
        time.sleep(0.05)
        early.append((state.sampling_step, state.preview(10)))
        time.sleep(0.25)
        late.append((state.sampling_step, state.preview(10), state.progress()[0]))

    watcher = threading.Thread(target=look)
    watcher.start()
    assert state.sample(20, 0.4, time.monotonic(), picture) == 1.0
    watcher.join()
    assert early[0][0] < 10 and early[0][1] is None
    step, preview, progress = late[0]
    assert step >= 10 and preview is not None and preview.size == (8, 8)
    assert 0.25 < progress < 0.6


def test_a_wrong_typed_option_is_taken_and_then_reading_fails(tmp_path: Path) -> None:
    options = Options(tmp_path / "config.json")
    options.put("jpeg_quality", "high")
    with pytest.raises(ServerError) as refused:
        options.everything()
    assert refused.value.kind == "ValidationError" and "jpeg_quality" in refused.value.message
    options.put("jpeg_quality", 90)
    assert options.everything()["jpeg_quality"] == 90.0
    with pytest.raises(ServerError, match="'no_such_option'"):
        options.put("no_such_option", 1)
    options.save()
    assert Options(tmp_path / "config.json").get("jpeg_quality") == 90
