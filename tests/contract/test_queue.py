"""What runs, what waits, and what happens to a request that is interrupted."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.a1111.connection import TaskState
from orchestrator.a1111.models import Generated
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from tests.contract.subject import Subject, Wire, pixels, pixels_of, text_of

#: Seconds a request should take so that it can be interrupted before it is done.
_LONG_S = 1.0
_WITHIN_S = 60.0


@pytest.fixture
def idle(subject: Subject) -> Subject:
    """The server while it works for nobody, and tells what it works on."""
    subject.must_tell_tasks()
    subject.must_be_idle()
    return subject


@pytest.fixture(scope="module")
def many_steps(subject: Subject) -> int:
    """So many steps that a request takes its time here, but not longer than needed on a slow machine."""
    took = []
    for steps in (2, 6):
        subject.fresh(seed=1)  # whatever has to be loaded is
        started = time.monotonic()
        subject.fresh(steps=steps)
        took.append(time.monotonic() - started)
    per_step = max((took[1] - took[0]) / 4, _LONG_S / 150)
    return max(8, round(_LONG_S / per_step))


def until(what: str, done: Callable[[], object]) -> None:
    end = time.monotonic() + _WITHIN_S
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def active(client: A1111, task: str) -> bool:
    """Whether the request is being drawn now."""
    state = client.task(task)
    return bool(state and state.active and not state.queued)


def interrupt_when_running(client: A1111, task: str) -> None:
    until("it never ran", lambda: active(client, task))
    # In the first step not even the noise is there.
    until("it drew nothing", lambda: not active(client, task) or (client.task(task) or TaskState()).progress)
    time.sleep(0.1)
    if not client.interrupt_task(task):
        pytest.skip("the request was done before it could be interrupted: this server is too quick for the test")


def test_progress_while_idle(idle: Subject) -> None:
    """Trap: job_no, sampling_steps and interrupted keep the last job's values, so only job and job_count tell."""
    subject = idle
    subject.fresh()
    progress = subject.client.progress()
    assert (progress.progress, progress.eta_relative) == (0, 0)
    assert (progress.state.job, progress.state.job_count) == ("", 0)
    assert progress.state.job_timestamp.isdigit()


def test_what_became_of_a_task(subject: Subject) -> None:
    """By its id a request whose answer was lost can be asked for, instead of drawing it twice."""
    subject.must_tell_tasks()
    task = f"contract-{uuid.uuid4().hex}"
    assert subject.client.task(task) == TaskState()
    subject.fresh(force_task_id=task)
    state = subject.client.task(task)
    assert state is not None
    assert (state.active, state.queued, state.completed) == (False, False, True)


def test_an_interrupt_while_idle_is_harmless(idle: Subject) -> None:
    """Trap: the flag stays until the next job begins, which must not be cut off by it."""
    idle.draw()
    idle.client.interrupt()
    assert idle.client.progress().state.interrupted
    assert idle.fresh().pictures == idle.draw().pictures
    assert not idle.client.progress().state.interrupted


def test_another_task_is_not_interrupted(subject: Subject) -> None:
    assert not subject.client.interrupt_task(f"contract-{uuid.uuid4().hex}")


def test_an_interrupted_request_answers_200(idle: Subject, many_steps: int) -> None:
    """Trap: half a picture, with the text of a whole one; only the server's flag tells, until its next job."""
    whole = idle.draw(steps=many_steps)
    task = f"contract-{uuid.uuid4().hex}"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(idle.fresh, steps=many_steps, force_task_id=task)
        interrupt_when_running(idle.client, task)
        half = asked.result(_WITHIN_S)
    assert len(half.pictures) == 1
    assert text_of(half).fields["Steps"] == str(many_steps)
    assert pixels(half) != pixels(whole)
    state = idle.client.progress().state
    assert state.interrupted
    assert state.job_timestamp == half.info.job_timestamp


def test_our_renderer_does_not_keep_half_a_picture(idle: Subject, many_steps: int, tmp_path: Path) -> None:
    """Somebody else presses Interrupt: the picture is drawn again."""
    wire = Wire()
    whole = idle.draw(steps=many_steps)
    with idle.another_client(wire) as client, ThreadPoolExecutor(1) as pool:
        renderer = Renderer(replace(idle.server, client=client), PictureCache(tmp_path))
        recipe = idle.recipe(steps=many_steps)
        asked = pool.submit(renderer.render, [recipe])
        until("nothing was sent", lambda: _ours(wire, many_steps) or asked.done())
        interrupt_when_running(idle.client, _ours(wire, many_steps)[0])
        (picture,) = asked.result(_WITHIN_S * 2)
        assert picture.error == ""
        assert len(_ours(wire, many_steps)) > 1, "half a picture was kept"
        assert pixels_of(picture.path.read_bytes()) == pixels(whole)


def test_two_requests_at_once_come_back_in_order(idle: Subject, many_steps: int) -> None:
    """The server does one after the other, so two in flight keep it busy and change no picture."""
    whole, plain = idle.draw(steps=many_steps), idle.draw()
    task = f"contract-{uuid.uuid4().hex}"
    order: list[str] = []
    lock = threading.Lock()

    def note(name: str) -> None:
        with lock:
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(idle.fresh, steps=many_steps, force_task_id=task)
        first.add_done_callback(lambda _: note("first"))
        until("it never ran", lambda: first.done() or active(idle.client, task))
        second = pool.submit(idle.fresh)
        second.add_done_callback(lambda _: note("second"))
        answers = [_result(first), _result(second)]
    assert order == ["first", "second"]
    assert answers == [pixels(whole), pixels(plain)]


def _result(asked: Future[Generated]) -> bytes:
    return pixels(asked.result(_WITHIN_S))


def _ours(wire: Wire, steps: int) -> list[str]:
    """The tasks of the requests that were sent for the picture itself."""
    return [body["force_task_id"] for body in wire.bodies if body.get("steps") == steps]
