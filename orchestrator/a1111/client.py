"""The A1111 client: every route that people script, typed on both sides, with errors for people.

from pathlib import Path
from orchestrator import A1111, Img2Img, Txt2Img

with A1111("http://127.0.0.1:7860") as server:
    print(server.dialect().name, [sampler.name for sampler in server.samplers()])
    drawn = server.txt2img(Txt2Img(prompt="a lighthouse", steps=20, seed=1))
    Path("lighthouse.png").write_bytes(drawn.pictures[0])
    varied = server.img2img(Img2Img(prompt="a lighthouse, night", init_images=drawn.pictures, denoising_strength=0.5))
    Path("night.png").write_bytes(varied.pictures[0])
    print(varied.infotexts[0])
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx
from pydantic import ValidationError

from orchestrator.a1111.connection import ANSWER_TIMEOUT_S, Connection
from orchestrator.a1111.listing import Listing
from orchestrator.a1111.models import Generated, parse_info
from orchestrator.a1111.pictures import decode
from orchestrator.a1111.requests import Img2Img, Txt2Img, checked_request
from orchestrator.a1111.routes import not_its_shape
from orchestrator.a1111.steering import Steering
from orchestrator.a1111.tools import Tools
from orchestrator.errors import InputError
from orchestrator.settings import completed


class A1111(Listing, Tools, Steering):
    """One server: A1111, Forge, reForge or classic. Safe to use from several threads; close it or use it as a context
    manager.

    `transport` replaces the network (tests). `timeout_s` holds for what draws nothing; a picture is waited for as long
    as the server works on it. Every method raises `ServerUnreachable` when nothing answers, `InstallError` when the
    credentials are wrong and `ServerError` when the answer is an error; those that take a request raise `InputError` or
    `PictureError` before anything is sent. The constructor raises `InputError` for credentials that A1111 cannot take.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7860",
        *,
        username: str = "",
        password: str = "",
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        _check_credentials(username, password)
        try:
            url = completed(url)
        except ValueError as error:
            raise InputError(f"The address of A1111 cannot be used: {error}.") from None
        super().__init__(
            Connection(url, username=username, password=password, transport=transport, timeout_s=timeout_s)
        )

    def __enter__(self) -> A1111:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def txt2img(self, request: Txt2Img | Mapping[str, Any]) -> Generated:
        """Draw. A mapping holds A1111's own field names and is checked as `Txt2Img` is."""
        checked = checked_request(Txt2Img, request)
        body = checked.body()
        # The forks' second pass has a CFG of its own, whose default of 1 hardly heeds the prompt.
        if checked.enable_hr and "hr_cfg" not in body and self.dialect().has_hr_cfg:
            body["hr_cfg"] = checked.cfg_scale
        return self._draw("/sdapi/v1/txt2img", body)

    def img2img(self, request: Img2Img | Mapping[str, Any]) -> Generated:
        """Draw from pictures. A mapping holds A1111's own field names and is checked as `Img2Img` is."""
        return self._draw("/sdapi/v1/img2img", checked_request(Img2Img, request).body())

    def _draw(self, route: str, body: dict[str, Any]) -> Generated:
        # By this id the server can be asked what became of the request, should its answer be lost.
        body["force_task_id"] = body.get("force_task_id") or f"task({uuid.uuid4().hex})"
        answer = self.connection.draw(route, body)
        try:
            return Generated(images=[decode(text) for text in answer["images"]], info=parse_info(answer["info"]))
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
            raise not_its_shape(route, error) from error


def _check_credentials(username: str, password: str) -> None:
    problems = []
    if ":" in username:
        problems.append("The user name holds a colon, at which A1111 ends it.")
    if not username.isascii():
        problems.append("The user name holds other characters than ASCII; A1111 takes no such name.")
    if not password.isascii():
        problems.append("The password holds other characters than ASCII; A1111 answers 401 to every such password.")
    if password and not username:
        problems.append("There is a password and no user name.")
    if problems:
        raise InputError("\n".join(problems), fix="Choose others for --api-auth, and name the same here.")
