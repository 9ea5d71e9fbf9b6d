"""Steering a server: what it does now, stopping it, its options, its memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from orchestrator.a1111.connection import TaskState
from orchestrator.a1111.models import Memory, Progress
from orchestrator.a1111.routes import Routes
from orchestrator.errors import AnswerLost, InputError, InstallError, ServerError

_PROGRESS = TypeAdapter(Progress)
_MEMORY = TypeAdapter(Memory)
_OPTIONS = "/sdapi/v1/options"
_FLAGS = "/sdapi/v1/cmd-flags"
_RESTART = "/sdapi/v1/server-restart"
#: Flags that hold passwords and tokens in clear text.
_SECRET_FLAGS = frozenset({"api_auth", "gradio_auth", "ngrok", "ngrok_options"})
HIDDEN = "***"


class Steering(Routes):
    """The routes that watch, stop and set."""

    def progress(self) -> Progress:
        """What the running job does."""
        return self._read("/sdapi/v1/progress", _PROGRESS, skip_current_image="true")

    def task(self, task: str) -> TaskState | None:
        """What the server knows of the request with this `force_task_id`; None where it cannot be asked (started with
        --nowebui).
        """
        return self.connection.task(task)

    def interrupt(self) -> None:
        """End whatever runs now, whoever asked for it; its caller gets the half-drawn picture."""
        self.post("/sdapi/v1/interrupt")

    def interrupt_task(self, task: str) -> bool:
        """Interrupt only if `task` is what runs now; tells whether it was.

        A request that is queued, done, or cannot be asked for is left alone. A job that begins in the few milliseconds
        between the look and the interrupt would be hit: A1111 cannot be told whom to stop.
        """
        state = self.task(task)
        if state is None or not state.active or state.queued or state.completed:
            return False
        # A request that failed is called active until the next one begins.
        running = self.progress().state
        if not (running.job or running.job_count):
            return False
        self.interrupt()
        return True

    def skip(self) -> None:
        """End the running batch early; the next ones of its request go on."""
        self.post("/sdapi/v1/skip")

    def restart(self) -> None:
        """Restart the server. Returns when it is on its way; wait for it with a patient look every few seconds.

        Raises `InstallError` when it was started without --api-server-stop.
        """
        absent = InstallError(
            f"A1111 at {self.url} does not let itself be restarted.",
            cause="It was started without --api-server-stop.",
            fix="Add --api-server-stop to COMMANDLINE_ARGS, or restart it by hand.",
        )
        try:
            self._post_if_there(_RESTART, absent)
        except AnswerLost:
            return  # it ends before it answers
        except ServerError as error:
            if error.status != 501:
                raise
            raise InstallError(
                f"A1111 at {self.url} does not know how to restart.",
                cause="It was not started by its own webui script (webui.sh, webui-user.bat).",
                fix="Start it with that script, or restart it by hand.",
            ) from error

    def options(self) -> dict[str, Any]:
        """All options of the webui."""
        return dict(self.get(_OPTIONS))

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Change options. A1111 saves them to the user's config.json: read them first and put them back.

        Raises `InputError` for a value of another type than the option's present one: A1111 would take it, and answer
        500 whenever its options are read from then on. Unknown names are left to the server: Forge takes some that it
        does not list.
        """
        try:
            present = self.options()
        except ServerError as error:
            if error.status < 500:
                raise
            present = {}  # already spoiled in that way; this may be the value that mends it
        wrong = [
            f"  {name}: {value!r} is {_kind(value)}; now it is {present[name]!r}, {_kind(present[name])}"
            for name, value in values.items()
            if name in present and not _suits(value, present[name])
        ]
        if wrong:
            raise InputError(
                "Options of the webui cannot be set to values of another type:\n" + "\n".join(wrong),
                cause="A1111 would take them, and could not list its options any more.",
                fix="Nothing was changed. Correct the values above.",
            )
        self.post(_OPTIONS, dict(values))

    def cmd_flags(self) -> dict[str, Any]:
        """The flags A1111 was started with; passwords and tokens among them are replaced by `***`.

        Raises `ServerError` on Forge started with --port, where this route is broken.
        """
        try:
            flags = self.get(_FLAGS)
            return {name: HIDDEN if value and name in _SECRET_FLAGS else value for name, value in flags.items()}
        except ServerError as error:
            status, kind = error.status, error.kind
        # A new error outside of the block: the old one's text holds the flags, --api-auth included.
        raise ServerError(
            _FLAGS,
            status,
            kind,
            "it does not show its flags",
            cause="Forge started with --port answers so.",
            fix="Nothing needs them but finding folders: name those in the settings.",
        )

    def memory(self) -> Memory:
        """Main and graphics memory in bytes."""
        return self._read("/sdapi/v1/memory", _MEMORY)

    def unload_checkpoint(self) -> None:
        """Free the graphics card's memory as far as A1111 does; the next picture loads it again. Waits for the picture
        being drawn.
        """
        self.post("/sdapi/v1/unload-checkpoint")

    def reload_checkpoint(self) -> None:
        self.post("/sdapi/v1/reload-checkpoint")


def _suits(value: Any, present: Any) -> bool:
    """Whether `value` may replace `present`, of which only the value tells the type; None tells nothing."""
    if present is None or value is None:
        return True
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(present, bool) and isinstance(value, bool)
    if isinstance(present, int):
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(present, float):
        return isinstance(value, int | float)
    if isinstance(present, list):
        return isinstance(value, list | tuple)
    return isinstance(value, type(present))


def _kind(value: Any) -> str:
    names = ((bool, "yes or no"), (int | float, "a number"), (str, "text"), (list | tuple, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), "something else")
