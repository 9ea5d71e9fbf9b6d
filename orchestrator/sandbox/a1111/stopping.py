"""--api-server-stop: routes that end the process or start it anew."""

from __future__ import annotations

from starlette.responses import Response

from .life import Ending
from .routing import Call, Route

PREFIX = "/sdapi/v1/server-"


def kill(call: Call) -> None:
    """POST /sdapi/v1/server-kill: the connection drops and the process is gone."""
    call.engine.life.die(Ending())


def restart(call: Call) -> Response | None:
    """POST /sdapi/v1/server-restart: as `kill`, and the script that started it starts it anew; 501 without a script."""
    if not call.engine.settings.restartable:
        return Response(status_code=501)
    call.engine.life.die(Ending(again=True))
    return None


def stop(call: Call) -> Response:
    """POST /sdapi/v1/server-stop: answers, then ends; without the web page it says so and goes on."""
    if call.engine.settings.webui:
        call.engine.life.stop()
    return Response("Stopping.")


ROUTES = (
    Route("POST", f"{PREFIX}kill", kill, own=False),
    Route("POST", f"{PREFIX}restart", restart, own=False),
    Route("POST", f"{PREFIX}stop", stop, own=False),
)
