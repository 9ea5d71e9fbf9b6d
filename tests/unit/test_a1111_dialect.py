"""Forks are told apart without drawing, by what they were observed to answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from orchestrator.a1111.client import A1111
from orchestrator.a1111.dialect import dialect_of_version, recognise
from orchestrator.errors import ServerError, ServerStarting

SCRIPTS = {"txt2img": ["prompt matrix", "x/y/z plot", "Hypertile"], "img2img": ["loopback"]}
COMMON = {"/sdapi/v1/scripts": SCRIPTS, "/sdapi/v1/options": {"samples_format": "png", "sd_vae": "Automatic"}}
LIST: list[Any] = []
OBSERVED: dict[str, dict[str, Any]] = {
    "A1111": {**COMMON, "/sdapi/v1/sd-vae": LIST, "/sdapi/v1/schedulers": LIST},
    "Forge": {
        **COMMON,
        "/sdapi/v1/sd-modules": LIST,
        "/sdapi/v1/schedulers": LIST,
        "/sdapi/v1/options": {"forge_preset": "sd", "forge_additional_modules": []},
    },
    "reForge": {
        "/sdapi/v1/scripts": {"txt2img": [*SCRIPTS["txt2img"], "Kohya HRFix for reForge"], "img2img": []},
        "/sdapi/v1/sd-vae": LIST,
        "/sdapi/v1/schedulers": LIST,
        "/sdapi/v1/options": {"reforge_karras_rho": 7.0},
    },
    "classic": {**COMMON, "/sdapi/v1/sd-vae": LIST},
}
SPOILED = httpx.Response(500, json={"error": "ValidationError", "detail": "", "body": "", "errors": "1 error"})


def client(answers: dict[str, Any]) -> tuple[A1111, list[str]]:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        found = answers.get(request.url.path)
        if found is None:
            return httpx.Response(404, json={"detail": "Not Found"})
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    return A1111(transport=httpx.MockTransport(answer)), asked


@pytest.mark.parametrize("name", OBSERVED)
def test_told_by_few_questions_and_without_drawing(name: str) -> None:
    server, asked = client(OBSERVED[name])
    with server:
        assert recognise(server).name == name
        assert server.dialect() is server.dialect()
    assert len(asked) <= 2 * 4
    assert all(line.startswith("GET ") for line in asked)


@pytest.mark.parametrize("name", OBSERVED)
def test_told_although_the_options_are_spoiled(name: str) -> None:
    server, _ = client({**OBSERVED[name], "/sdapi/v1/options": SPOILED})
    with server:
        assert server.dialect().name == name


def test_a_server_that_is_half_started_is_not_taken_for_another() -> None:
    answers = dict(OBSERVED["A1111"])
    late = {route: answers.pop(route) for route in ("/sdapi/v1/scripts", "/sdapi/v1/schedulers", "/sdapi/v1/sd-vae")}
    server, _ = client(answers)
    with server:
        with pytest.raises(ServerStarting):
            server.dialect()
        with pytest.raises(ServerStarting):
            server.schedulers()
        answers.update(late)
        assert server.dialect().name == "A1111"


def test_an_error_is_no_dialect() -> None:
    failing = httpx.Response(500, json={"error": "OSError", "errors": "no space"})
    server, _ = client({"/sdapi/v1/options": SPOILED, "/sdapi/v1/scripts": failing})
    with server, pytest.raises(ServerError, match="no space"):
        server.dialect()


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("v1.10.1", "A1111"),
        ("1.6.0", "A1111"),
        ("v1.10.1-89-g5a10bb9aa", "A1111"),
        ("f2.0.1v1.10.1-previous-669-gdfdcbab6", "Forge"),
        ("f2.0.1v1.10.1-1.10.1", "Forge"),
        ("f1.0.0v2-v1.10.1RC-latest-2510-g3b56b268", "reForge"),
        ("f0.0.17v1.8.0rc-latest-276-g29be1da7", "classic"),
        ("classic", "classic"),
    ],
)
def test_told_by_the_version(version: str, name: str) -> None:
    found = dialect_of_version(version)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("version", ["", "neo", "v2.0", "10.1"])
def test_versions_that_say_nothing(version: str) -> None:
    assert dialect_of_version(version) is None
