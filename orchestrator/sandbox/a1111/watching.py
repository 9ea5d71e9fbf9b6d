"""Routes that watch or steer the running job."""

from __future__ import annotations

import base64
from typing import Any

from . import pictures
from .engine import Engine
from .routing import Call, Route


def _preview(engine: Engine) -> bytes | None:
    every = engine.options.get("show_progress_every_n_steps")
    image = engine.state.preview(int(every)) if isinstance(every, (int, float)) else None
    return base64.b64encode(pictures.encode(image)) if image is not None else None


def progress(call: Call) -> dict[str, Any]:
    """GET /sdapi/v1/progress."""
    state = call.engine.state
    done, left = state.progress()
    skip = call.query.get("skip_current_image", "false").lower() in {"1", "true", "on", "yes"}
    image = None if skip else _preview(call.engine)
    return {
        "progress": done,
        "eta_relative": left,
        "state": state.as_json(),
        "current_image": image.decode() if image else None,
        "textinfo": None,
    }


def task_progress(call: Call) -> dict[str, Any]:
    """POST /internal/progress: one request's own state by its force_task_id."""
    engine, task = call.engine, call.fields["id_task"]
    pending = engine.tasks.pending()
    active, queued = task == engine.tasks.current, task in pending
    answer: dict[str, Any] = {
        "active": active,
        "queued": queued,
        "completed": engine.tasks.completed(task),
        "progress": None,
        "eta": None,
        "live_preview": None,
        "id_live_preview": -1,
        "textinfo": None,
    }
    if not active:
        answer["textinfo"] = f"In queue: {pending.index(task) + 1}/{len(pending)}" if queued else "Waiting..."
        return answer
    done, left = engine.state.progress()
    step = engine.state.sampling_step
    answer.update(progress=done, eta=left, id_live_preview=call.fields["id_live_preview"])
    if call.fields["live_preview"] and step != call.fields["id_live_preview"]:
        image = _preview(engine)
        if image is not None:
            answer.update(live_preview="data:image/png;base64," + image.decode(), id_live_preview=step)
    return answer


def pending_tasks(call: Call) -> dict[str, Any]:
    """GET /internal/pending-tasks: ids of failed requests may stay here for ever."""
    pending = call.engine.tasks.pending()
    return {"size": len(pending), "tasks": pending}


def interrupt(call: Call) -> dict[str, Any]:
    """POST /sdapi/v1/interrupt."""
    call.engine.state.interrupt()
    return {}


def skip(call: Call) -> None:
    """POST /sdapi/v1/skip."""
    call.engine.state.skip()


def ping(call: Call) -> dict[str, Any]:
    """GET /internal/ping."""
    return {}


ROUTES = (
    Route("GET", "/sdapi/v1/progress", progress, response="modules__api__models__ProgressResponse"),
    Route("POST", "/sdapi/v1/interrupt", interrupt),
    Route("POST", "/sdapi/v1/skip", skip),
    Route("GET", "/internal/ping", ping, login=False, page=True),
    Route("GET", "/internal/pending-tasks", pending_tasks, login=False, page=True),
    Route(
        "POST",
        "/internal/progress",
        task_progress,
        "ProgressRequest",
        "modules__progress__ProgressResponse",
        login=False,
        page=True,
    ),
)
