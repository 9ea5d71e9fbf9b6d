"""The server under test as the contract tests see it: its client, its dialect, names from its own lists, pictures that
are drawn once for all tests.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from functools import cached_property
from typing import Any

import httpx
import pytest
from PIL import Image

from orchestrator.a1111.client import A1111
from orchestrator.a1111.infotext import Infotext, parse
from orchestrator.a1111.models import Generated, LoraEntry
from orchestrator.errors import ServerError
from orchestrator.render.canary import is_applied
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server, connect

PROMPT = "portrait of a person"
#: LoRA files that are tried before it is said that none suits the loaded checkpoint: each costs two pictures.
_LORAS_TRIED = 5


class Wire(httpx.HTTPTransport):
    """The network, with the bodies of the drawing requests that went over it."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("2img"):
            self.bodies.append(json.loads(request.content))
        return super().handle_request(request)


class Subject:
    """One server under test."""

    def __init__(self, url: str, username: str = "", password: str = "") -> None:
        self.url = url
        self.username = username
        self._password = password
        self.client = self.another_client()
        self.dialect = self.client.dialect()
        self._drawn: dict[str, Generated] = {}

    def another_client(self, transport: httpx.BaseTransport | None = None) -> A1111:
        """A client of its own; the caller closes it."""
        return A1111(self.url, username=self.username, password=self._password, transport=transport)

    @cached_property
    def server(self) -> Server:
        """What our renderer finds out about it; draws the probe picture."""
        return connect(self.client)

    @cached_property
    def sampler(self) -> str:
        """The server's own default, else the first it lists."""
        names = [sampler.name for sampler in self.client.samplers()]
        return "Euler" if "Euler" in names else names[0]

    @cached_property
    def _candidates(self) -> list[LoraEntry]:
        listed = [one for one in self.client.loras() if one.path.endswith(".safetensors")]
        usable = [one for one in listed if not set(one.name) & set(",:<>()[]{}|\\")]
        return sorted(usable, key=lambda one: not one.metadata.get("ss_network_module"))[:_LORAS_TRIED]

    @cached_property
    def _lora(self) -> LoraEntry | None:
        """One that this checkpoint can use, on a server that may hold hundreds for others."""
        for entry in self._candidates:
            try:
                if is_applied(self.server, LoraUse(entry.name, "", "", 1.0)):
                    return entry
            except ServerError:
                continue
        return None

    def lora(self) -> LoraEntry:
        """A LoRA of the server that changes pictures; skips the test where there is none."""
        if self._lora is None:
            tried = ", ".join(entry.name for entry in self._candidates)
            pytest.skip(
                f"none of these LoRA files changes a picture of the loaded checkpoint: {tried}"
                if tried
                else "the server has no LoRA file"
            )
        return self._lora

    def request(self, **changes: Any) -> dict[str, Any]:
        """A small request: 64×64, 2 steps, seed 7."""
        small = {"prompt": PROMPT, "seed": 7, "steps": 2, "width": 64, "height": 64, "sampler_name": self.sampler}
        # Left out, these are as the webui is set.
        return small | {"restore_faces": False, "tiling": False} | changes

    def fresh(self, **changes: Any) -> Generated:
        """A small picture, drawn now."""
        return self.client.txt2img(self.request(**changes))

    def draw(self, **changes: Any) -> Generated:
        """A small picture; the same one is drawn once for all tests."""
        name = json.dumps(self.request(**changes), sort_keys=True)
        if name not in self._drawn:
            self._drawn[name] = self.fresh(**changes)
        return self._drawn[name]

    def recipe(self, **changes: Any) -> Recipe:
        """A small picture as a recipe."""
        server = self.server
        plain = Recipe(
            prompt=PROMPT, seed=7, steps=2, width=64, height=64, cfg_scale=7.0, sampler=self.sampler,
            scheduler="Automatic" if server.schedulers else "", checkpoint=server.checkpoint,
            checkpoint_hash=server.checkpoint_hash, server_version=server.version,
            clip_skip=int(self.client.options()["CLIP_stop_at_last_layers"]),
        )  # fmt: skip
        return plain.evolve(**changes)

    def must_be_idle(self) -> None:
        """Skip the test while somebody else's job runs: it must not be hit."""
        state = self.client.progress().state
        if state.job or state.job_count:
            pytest.skip("the server works for somebody else")

    def must_tell_tasks(self) -> None:
        """Skip the test on a server without /internal routes."""
        if self.client.task("nothing") is None:
            pytest.skip("the server was started with --nowebui and tells nothing of its tasks")


Observe = Callable[[str], None]


def pixels(answer: Generated, place: int = 0) -> bytes:
    """The pixels of one picture; two pictures of the same pixels may carry different texts."""
    return pixels_of(answer.pictures[place])


def pixels_of(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("RGB").tobytes()


def size_of(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.size


def text_of(answer: Generated, place: int = 0) -> Infotext:
    """The infotext of one picture, taken apart."""
    return parse(answer.infotexts[place] or "")


def never_used() -> str:
    """A name that no server has."""
    return f"contract-test-{uuid.uuid4().hex}"
