"""The page on which votes are given: on this machine only, behind a token, blind.

Nothing the browser gets tells which picture is whose: pictures are asked for by question and side, and sent without
what is written in their files.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from orchestrator.errors import OrchestratorError
from orchestrator.evaluation.votes.record import ANSWERS, Votes, write_votes
from orchestrator.files import open_picture

HOST = "127.0.0.1"
#: A vote is a few bytes; more than this is refused unread.
MOST_BYTES = 4096
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass
class Booth:
    """The votes being given. Every change is on the disk before it is answered."""

    votes: Votes
    path: Path
    #: What is said when the last vote is given.
    closing: Callable[[Votes], tuple[str, ...]]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.ended = threading.Event()

    def answer(self, number: int, answer: str) -> None:
        """Keep an answer. Raises ValueError when that question is not open, and for what is no answer."""
        with self._lock:
            if answer not in ANSWERS:
                raise ValueError(f"{answer!r} is no answer")
            self._keep(self.votes.with_answer(number, answer))

    def undo(self) -> None:
        """Take the last answer back; without one nothing happens."""
        with self._lock:
            if self.votes.answers:
                self._keep(self.votes.undone())

    def state(self) -> dict[str, Any]:
        """What the page shows."""
        votes = self.votes
        open_ = None if votes.done else votes.questions[len(votes.answers)]
        return {
            "number": len(votes.answers),
            "of": len(votes.questions),
            "asked": "" if open_ is None else open_.round,
            "closing": list(self.closing(votes)) if votes.done else [],
        }

    def _keep(self, votes: Votes) -> None:
        write_votes(self.path, votes)
        self.votes = votes


@dataclass(frozen=True)
class Open:
    """A page being served. `url` has the token in it."""

    url: str
    booth: Booth


@contextlib.contextmanager
def voting(booth: Booth, port: int = 0) -> Iterator[Open]:
    """Serve the page until the block is left; `booth.ended` is set when the voter says it is enough."""
    import uvicorn

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind((HOST, port))
        port = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        server = uvicorn.Server(
            uvicorn.Config(
                application(booth, token, port), log_level="error", access_log=False, lifespan="off", ws="none",
                timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        thread = threading.Thread(target=server.run, args=([listening],), name="votes", daemon=True)
        thread.start()
        try:
            yield Open(f"http://{HOST}:{port}/?token={token}", booth)
        finally:
            server.should_exit = True
            thread.join(5)


def application(booth: Booth, token: str, port: int) -> Starlette:
    """The page and its four requests. Everything needs the token; another Host than this machine's is refused."""
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}
    origins = {f"http://{host}" for host in hosts}

    def refused(request: Request, given: str) -> Response | None:
        # A page elsewhere may lead its own name to this address (DNS rebinding): then the Host is not ours.
        if request.headers.get("host", "") not in hosts:
            return _plain("This page answers on this machine only.", 403)
        if request.headers.get("origin", "") not in {"", *origins}:
            return _plain("Another page asked.", 403)
        if not secrets.compare_digest(given.encode(), token.encode()):
            return _plain("The token is missing or wrong: open the address that `orchestrator vote` printed.", 403)
        return None

    async def page(request: Request) -> Response:
        if no := refused(request, request.query_params.get("token", "")):
            return no
        nonce = secrets.token_urlsafe(16)
        headers = {name: value.replace("{nonce}", nonce) for name, value in _HEADERS.items()}
        return HTMLResponse(_page().replace("@@nonce@@", nonce).replace("@@token@@", token), headers=headers)

    async def state(request: Request) -> Response:
        if no := refused(request, request.headers.get("x-token", "")):
            return no
        return _json(booth.state())

    async def vote(request: Request) -> Response:
        if no := refused(request, request.headers.get("x-token", "")):
            return no
        try:
            body = await _small(request)
            number, answer = body["number"], body["answer"]
            if not isinstance(number, int) or not isinstance(answer, str):
                raise ValueError("a number and an answer are needed")
            await run_in_threadpool(booth.answer, number, answer)
        except (ValueError, KeyError, TypeError):
            # Pressed twice, or in two windows: the page is told where it stands.
            return _json(booth.state(), 409)
        except OrchestratorError as error:
            return _json({**booth.state(), "error": error.what}, 500)
        return _json(booth.state())

    async def undo(request: Request) -> Response:
        if no := refused(request, request.headers.get("x-token", "")):
            return no
        await run_in_threadpool(booth.undo)
        return _json(booth.state())

    async def enough(request: Request) -> Response:
        if no := refused(request, request.headers.get("x-token", "")):
            return no
        booth.ended.set()
        return _json(booth.state())

    async def picture(request: Request) -> Response:
        if no := refused(request, request.query_params.get("token", "")):
            return no
        number, side = request.path_params["number"], request.path_params["side"]
        questions = booth.votes.questions
        # Only what is open now and next: a list of all would show which pictures come back.
        if number not in range(len(booth.votes.answers), len(booth.votes.answers) + 2) or number >= len(questions):
            return _plain("That question is not open.", 404)
        question = questions[number]
        try:
            data = await run_in_threadpool(bare, question.left_path if side == "left" else question.right_path)
        except OrchestratorError as error:
            return _plain(error.what, 404)
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/state", state),
            Route("/vote", vote, methods=["POST"]),
            Route("/undo", undo, methods=["POST"]),
            Route("/enough", enough, methods=["POST"]),
            Route("/picture/{number:int}/{side}", picture),
        ]
    )


@lru_cache(maxsize=8)
def bare(path: str) -> bytes:
    """The pixels of a picture as PNG, without what is written in the file. Raises `PictureError`."""
    stream = io.BytesIO()
    picture = open_picture(Path(path))
    picture.info = {}
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


async def _small(request: Request) -> dict[str, Any]:
    import json

    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise ValueError("too much for a vote")
    value = json.loads(data)
    if not isinstance(value, dict):
        raise TypeError("a vote is an object")
    return value


def _page() -> str:
    return (files("orchestrator.evaluation.votes") / "page.html").read_text(encoding="utf-8")


def _json(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status, headers={"Cache-Control": "no-store"})


def _plain(words: str, status: int) -> Response:
    return Response(words, status, media_type="text/plain")
