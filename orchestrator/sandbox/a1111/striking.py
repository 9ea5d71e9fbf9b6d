"""How a fault is played: before the queue, in the middle of the job, on the finished pictures, on the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from PIL import Image
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .dialects import Dialect
from .engine import Engine
from .failures import NAN, ServerError
from .job import Job
from .life import Client, Ending, Life
from .processed import Processed

UNDRAWN = frozenset({"proxy", "drop", "hang"})
UNANSWERED = frozenset({"drop", "hang", "restart", "reset", "mute", "truncated"})
"""The client gets no whole answer."""
_PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"
)
_OOM = (
    "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 8.00 GiB of which 312.00 MiB is "
    "free. The graphics card is simulated"
)


async def undrawn(fault: str, life: Life, client: Client | None) -> Response:
    """The answer of a request that never reaches the queue; what comes of it after the connection is cut is void."""
    if fault == "proxy":
        return Response(_PAGE, 502, media_type="text/html")
    if fault == "drop":
        life.connections.close(client)
    await life.connections.gone(client)
    return Response(status_code=500)


def prepare(engine: Engine, job: Job, fault: str | None) -> Job:
    """The job as the fault lets it run; what strikes in the middle is left with the card."""
    card = engine.card
    if fault == "wrong-lora":
        return replace(job, disable_extra_networks=True)
    if fault == "unknown-checkpoint":
        wanted = job.override_settings.get("sd_model_checkpoint") or engine.options.get("sd_model_checkpoint")
        other = engine.checkpoints.another(wanted)
        return replace(job, override_settings={**job.override_settings, "sd_model_checkpoint": other})
    if fault == "interrupted":
        card.halfway = engine.state.interrupt
    elif fault == "restart":
        card.halfway = lambda: engine.life.die(Ending(again=True))
    elif fault == "oom":
        card.halfway = _fails("OutOfMemoryError", _OOM)
    elif fault == "500":
        card.halfway = _fails("RuntimeError", "CUDA error: an illegal memory access was encountered")
    elif fault == "nan" and not engine.dialect.nan_is_black:
        card.halfway = _fails("NansException", NAN)
    return job


def _fails(kind: str, message: str) -> Callable[[], None]:
    def fail() -> None:
        raise ServerError(kind, message)

    return fail


def finished(done: Processed, fault: str | None, dialect: Dialect) -> None:
    """What a fault does to pictures already drawn. Raises ServerError when they cannot be saved."""
    if fault == "disk-full":
        raise ServerError("OSError", "[Errno 28] No space left on device")
    if fault == "black" or (fault == "nan" and dialect.nan_is_black):
        done.images = [_black(image) for image in done.images]


def _black(image: Image.Image) -> Image.Image:
    black = Image.new("RGB", image.size)
    black.info = {key: value for key, value in image.info.items() if isinstance(value, str)}
    return black


async def answered(answer: Response, fault: str | None, life: Life, client: Client | None, slow: float) -> Response:
    """The answer as it leaves, or, its connection cut or silent, when the client has gone."""
    if fault == "slow":
        await asyncio.sleep(slow)
    elif fault == "reset":
        life.connections.reset(client)
        await life.connections.gone(client)
    elif fault == "mute":
        await life.connections.gone(client)
    elif fault == "truncated":
        return _Truncated(answer, life, client)
    return answer


class _Truncated(Response):
    """Headers of the whole body, half of it, end of the connection."""

    def __init__(self, whole: Response, life: Life, client: Client | None) -> None:
        super().__init__(whole.body, whole.status_code)
        self.raw_headers = whole.raw_headers
        self._life, self._client = life, client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        self._life.connections.close(self._client)
        await self._life.connections.gone(self._client)
