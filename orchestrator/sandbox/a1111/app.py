"""The web application: every route of the tables, with the server's order of checks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Served

from . import answers, fields, generation, listings, login, schema, stopping, striking, tools, watching
from .dialects import Dialect
from .engine import Engine
from .failures import Died, InvalidBody, ServerError
from .faults import Faults
from .life import Life
from .painting import World
from .refusals import refusal
from .routing import Call, Route
from .settings import Settings

_log = logging.getLogger(__name__)
_THREADS = 64
ROUTES: tuple[Route, ...] = (*generation.ROUTES, *watching.ROUTES, *listings.ROUTES, *tools.ROUTES, *stopping.ROUTES)


def create_app(
    home: Path,
    world: World = "story",
    settings: Settings | None = None,
    *,
    life: Life | None = None,
    faults: Faults | None = None,
) -> Starlette:
    """The server as an ASGI application, for uvicorn or for tests in the same process.

    `home` is a folder made by `orchestrator.sandbox.home.make_home`. The engine is at `app.state.engine`. `life` lets
    it end its process; `faults` may be those of the life before.

    Raises:
        ServerError: FileNotFoundError when the home has no checkpoint.
    """
    settings = settings or Settings()
    faults = faults or Faults(settings.faults, settings.fault_seed)
    engine = Engine(home, world, settings, life)
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sandbox")
    served = [route for route in ROUTES if _exists(route, settings, engine.dialect)]
    documents = {
        "/openapi.json": answers.response(answers.to_bytes(schema.openapi(served, engine.dialect))),
        "/docs": _page("The routes of this simulated server: <a href=/openapi.json>openapi.json</a>."),
    }
    if settings.webui:
        documents["/"] = _page("Simulated server. The API is under <a href=/docs>/docs</a>.")
    routes = [_only(route.path, _endpoint(route, engine, threads, faults), route.method) for route in served]
    routes += [_only(path, _always(document), "GET", "HEAD") for path, document in documents.items()]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    app.state.engine = engine
    app.state.threads = threads
    app.add_middleware(answers.Doorway, timed=engine.dialect.process_time)
    return app


def _exists(route: Route, settings: Settings, dialect: Dialect) -> bool:
    if route.page and not settings.webui:
        return False
    if route.only is not None and dialect.name not in route.only:
        return False
    if route.path.startswith(stopping.PREFIX):
        return settings.server_stop
    return settings.tagger != "none" or not route.path.startswith("/tagger/")


def _only(path: str, endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Served:
    """A route for these methods. Starlette by itself answers HEAD wherever it answers GET; FastAPI, which the real
    server is built on, does not.
    """
    route = Served(path, endpoint, methods=list(methods))
    route.methods = set(methods)
    return route


async def _refused(request: Request, error: Exception) -> Response:
    """An unknown route or a wrong method, in FastAPI's words."""
    assert isinstance(error, HTTPException)
    body = answers.to_bytes({"detail": error.detail})
    return Response(body, error.status_code, error.headers, "application/json")


def _page(text: str) -> Response:
    return Response(f"<!doctype html><meta charset=utf-8><title>simulated</title><p>{text}", media_type="text/html")


def _always(document: Response) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return document

    return endpoint


def _endpoint(
    route: Route, engine: Engine, threads: ThreadPoolExecutor, faults: Faults
) -> Callable[[Request], Awaitable[Response]]:
    life = engine.life

    async def endpoint(request: Request) -> Response:
        zipped = answers.wants_gzip(request) and (engine.dialect.process_time or not engine.settings.webui)
        try:
            if route.login:
                login.check(engine.settings.api_auth, request.headers.get("authorization"))
            call = await _read(route, engine, request)
        except (InvalidBody, ServerError) as refused:
            return refusal(refused, engine.dialect, zipped, life, request.scope.get("client"))
        if route.draws:
            call = replace(call, fault=faults.strikes(call.body))
            if call.fault in striking.UNDRAWN:
                generation.undrawn(call, "img2img" if route.path.endswith("img2img") else "txt2img")
                return await striking.undrawn(call.fault, life, call.client)
        if not (route.queued or route.threaded):
            answer = _answer(route, call, zipped)
            if life.ending is not None:  # the dead do not answer
                await life.connections.gone(call.client)
            return answer
        # the place in the queue is taken here, in the order the requests arrived, whatever thread runs first afterwards
        call = replace(call, turn=engine.queue.turn() if route.queued else None)
        answer = await asyncio.get_running_loop().run_in_executor(threads, _answer, route, call, zipped)
        return await striking.answered(answer, call.fault, life, call.client, engine.settings.slow_seconds)

    return endpoint


async def _read(route: Route, engine: Engine, request: Request) -> Call:
    body: dict[str, Any] = {}
    read: dict[str, Any] = {}
    if route.request is not None:
        body = fields.read_json(await request.body(), request.headers.get("content-type"))
        read = fields.read_body(route.request, body, engine.dialect) if route.request else {}
    return Call(engine, read, body, dict(request.query_params), client=request.scope.get("client"))


def _answer(route: Route, call: Call, zipped: bool) -> Response:
    dialect, life = call.engine.dialect, call.engine.life
    try:
        result = route.handler(call)
        if isinstance(result, Response):
            return result
        body = result if isinstance(result, bytes) else answers.to_bytes(result)
        return answers.response(body, zipped=zipped)
    except (InvalidBody, ServerError) as refused:
        return refusal(refused, dialect, zipped, life, call.client)
    except Died:
        return Response(status_code=503)  # reaches nobody: every connection is cut
    except Exception as error:
        _log.exception("%s %s failed", route.method, route.path)
        return refusal(ServerError(type(error).__name__, str(error)), dialect, zipped, life, call.client)
    finally:
        if call.turn is not None:
            call.turn.leave()
