"""A simulated A1111 in a child process, over real sockets; one for each test module that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.server import connect
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.vision.workers import kept

StartServer = Callable[..., sandbox.RunningServer]


@pytest.fixture(scope="module")
def sandbox_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sandbox.RunningServer]:
    """A server in a home with an ugly path. A module in which nobody looks at what is drawn says `PAINTER = "plain"`:
    drawing a portrait takes twenty times as long.
    """
    home = tmp_path_factory.mktemp("home") / "web 'ui' 初音"
    home.mkdir()
    with sandbox.start(home, settings=Settings(painter=getattr(request.module, "PAINTER", "portrait"))) as running:
        yield running


@pytest.fixture(scope="module")
def measuring_kept() -> Iterator[None]:
    """The processes that measure faces serve all tests of the module; each start costs as much as a small test."""
    with kept():
        yield


@pytest.fixture
def client(sandbox_server: sandbox.RunningServer) -> Iterator[A1111]:
    """A client of `sandbox_server`."""
    with A1111(sandbox_server.url) as client:
        yield client


@pytest.fixture
def renderer(client: A1111, ugly_path: Path) -> Renderer:
    """A renderer on `sandbox_server` with an empty cache."""
    return Renderer(connect(client), PictureCache(ugly_path / "cache"))


@pytest.fixture
def start_server(ugly_path: Path) -> Iterator[StartServer]:
    """Starts further servers with settings of their own; all end with the test."""
    running: list[sandbox.RunningServer] = []

    def start(**settings: object) -> sandbox.RunningServer:
        home = ugly_path / f"home {len(running)}"
        home.mkdir()
        running.append(sandbox.start(home, settings=Settings(**settings)))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for each in running:
        each.kill()
