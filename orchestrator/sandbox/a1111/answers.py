"""HTTP answers: JSON, gzip when the client says so, and the pure-ASGI layer every request passes."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GZIP_FROM = 1000
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


def to_bytes(content: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def generation_bytes(images: Sequence[bytes], parameters: dict[str, Any], info: str) -> bytes:
    """The body of txt2img and img2img. Base64 needs no escaping, so the big part is only joined, never scanned."""
    quoted = b",".join(b'"' + image + b'"' for image in images)
    return b'{"images":[' + quoted + b'],"parameters":' + to_bytes(parameters) + b',"info":' + to_bytes(info) + b"}"


def wants_gzip(request: Request) -> bool:
    """Whether the client accepts it."""
    return "gzip" in request.headers.get("accept-encoding", "")


def response(body: bytes, status: int = 200, *, zipped: bool = False, media_type: str = "application/json") -> Response:
    """A finished answer; bodies of 1000 bytes and more are gzipped at level 9, as the real server does."""
    headers = {"vary": "Accept-Encoding"} if zipped and len(body) >= _GZIP_FROM else {}
    if headers:
        body = gzip.compress(body, compresslevel=9, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(body, status, headers, media_type)


class Doorway:
    """Outermost layer of every request.

    Loopback names only (no web page may reach the server under a name of its own), X-Process-Time (not on every fork),
    and X-Simulated, which the real server has not: whatever is made from an answer can say what it is.
    """

    def __init__(self, app: ASGIApp, timed: bool = True) -> None:
        self._app = app
        self._timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                spent = f"{time.monotonic() - began:.4f}".encode()
                added = [(b"x-process-time", spent)] if self._timed else []
                added.append((b"x-simulated", b"orchestrator sandbox"))
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        if _host_name(scope) not in _LOOPBACK:
            refusal = {"detail": "This simulated server answers loopback names only: use 127.0.0.1 or localhost."}
            await response(to_bytes(refusal), 403)(scope, receive, timed)
            return
        await self._app(scope, receive, timed)


def _host_name(scope: Scope) -> str:
    raw = next((value for key, value in scope["headers"] if key == b"host"), b"").decode("latin-1").lower()
    return raw if raw.endswith("]") else raw.rsplit(":", 1)[0]
