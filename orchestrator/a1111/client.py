"""The A1111 client: one pooled connection, typed answers, errors for people.

from orchestrator import A1111

with A1111("http://127.0.0.1:7860") as server:
    answer = server.txt2img({"prompt": "a lighthouse", "steps": 20, "seed": 1})
    open("lighthouse.png", "wb").write(answer.pictures[0])
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from orchestrator.a1111.models import (
    Checkpoint,
    Generated,
    LoraEntry,
    Progress,
    Sampler,
    Scheduler,
    Vae,
    parse_info,
)
from orchestrator.errors import InstallError, ServerError, ServerUnreachable

#: Seconds one answer may take: a hires picture on an old card, behind another one in the queue.
READ_TIMEOUT_S = 1800.0
CONNECT_TIMEOUT_S = 5.0
# A1111 closes idle connections after 5.0 s (measured); one used later than that fails, and a POST must not be repeated
# blindly.
_KEEPALIVE_S = 4.0

#: Sent with every answer by servers that only simulate A1111; whatever is made from them is called simulated.
SIMULATED_HEADER = "x-simulated"

_LORAS = TypeAdapter(list[LoraEntry])
_SAMPLERS = TypeAdapter(list[Sampler])
_SCHEDULERS = TypeAdapter(list[Scheduler])
_CHECKPOINTS = TypeAdapter(list[Checkpoint])
_VAES = TypeAdapter(list[Vae])
Entry = TypeVar("Entry")


class A1111:
    """One A1111 server. Safe to use from several threads; close it or use it as a context manager.

    `transport` replaces the network (tests). Every method raises `ServerUnreachable` when nothing answers and
    `ServerError` when the answer is an error.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7860",
        *,
        username: str = "",
        password: str = "",
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.url = url.rstrip("/")
        #: Whether the answers come from a simulation, which says so in a header of each.
        self.simulated = False
        self._http = httpx.Client(
            base_url=self.url,
            # A1111 sends no WWW-Authenticate header, so credentials must go with the first request; httpx does that for
            # basic auth.
            auth=httpx.BasicAuth(username, password) if username else None,
            transport=transport,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=8, keepalive_expiry=_KEEPALIVE_S),
            # gzip -9 of PNG costs the server 20-80 ms a picture for little (measured).
            headers={"Accept-Encoding": "identity"},
            # A proxy from the environment has no business between us and a server on this machine or in this house.
            trust_env=False,
        )

    def __enter__(self) -> A1111:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, route: str, **params: Any) -> Any:
        """The JSON of any GET route."""
        return self._answer(route, "GET", params=params)

    def post(self, route: str, body: Any = None) -> Any:
        """The JSON of any POST route. Never repeated: A1111 goes on with a request whose caller is gone."""
        return self._answer(route, "POST", json={} if body is None else body)

    def txt2img(self, payload: Mapping[str, Any]) -> Generated:
        """Draw. `payload` holds A1111's own field names."""
        return self._generated("/sdapi/v1/txt2img", payload)

    def img2img(self, payload: Mapping[str, Any]) -> Generated:
        """Draw from a picture. `init_images` holds base64 texts."""
        return self._generated("/sdapi/v1/img2img", payload)

    def progress(self) -> Progress:
        """What the running job does."""
        return Progress.model_validate(self.get("/sdapi/v1/progress", skip_current_image="true"))

    def interrupt(self) -> None:
        """End whatever runs now, whoever asked for it; its caller gets the half-drawn picture."""
        self.post("/sdapi/v1/interrupt")

    def options(self) -> dict[str, Any]:
        """All options of the webui."""
        return dict(self.get("/sdapi/v1/options"))

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Change options. A1111 saves them to the user's config.json: read them first and put them back."""
        self.post("/sdapi/v1/options", dict(values))

    def samplers(self) -> list[Sampler]:
        return self._list("/sdapi/v1/samplers", _SAMPLERS)

    def schedulers(self) -> list[Scheduler]:
        return self._list("/sdapi/v1/schedulers", _SCHEDULERS)

    def models(self) -> list[Checkpoint]:
        """The checkpoints A1111 knows."""
        return self._list("/sdapi/v1/sd-models", _CHECKPOINTS)

    def vaes(self) -> list[Vae]:
        """The VAE files A1111 knows."""
        return self._list("/sdapi/v1/sd-vae", _VAES)

    def loras(self) -> list[LoraEntry]:
        """The LoRA files A1111 knows. This route is not covered by --api-auth: it proves nothing about credentials."""
        return self._list("/sdapi/v1/loras", _LORAS)

    def refresh_loras(self) -> None:
        """Make A1111 read its LoRA folder again. Only while nothing is drawn: the list is cleared outside the queue
        lock.
        """
        self.post("/sdapi/v1/refresh-loras")

    def cmd_flags(self) -> dict[str, Any]:
        """The flags A1111 was started with. They hold its api_auth in clear text: never log them."""
        return dict(self.get("/sdapi/v1/cmd-flags"))

    def memory(self) -> dict[str, Any]:
        return dict(self.get("/sdapi/v1/memory"))

    def unload_checkpoint(self) -> None:
        """Free the graphics card's memory as far as A1111 does."""
        self.post("/sdapi/v1/unload-checkpoint")

    def reload_checkpoint(self) -> None:
        self.post("/sdapi/v1/reload-checkpoint")

    def interrogate(self, picture: bytes, model: str = "deepdanbooru") -> str:
        """A caption by A1111's own interrogators. Errors arrive as a caption ending in `<error>`; they are raised as
        `ServerError`.
        """
        route = "/sdapi/v1/interrogate"
        caption = str(self.post(route, {"image": encode(picture), "model": model})["caption"])
        if caption.rstrip().endswith("<error>"):
            raise ServerError(route, 200, "", f"{model} gave no caption", cause="Its weights are probably not there.")
        return caption

    def tagger_models(self) -> list[str]:
        """The models of the WD14 tagger extension; empty when the extension is not there."""
        try:
            return [str(name) for name in self.get("/tagger/v1/interrogators")["models"]]
        except ServerError as error:
            if error.status in {404, 500}:
                return []
            raise

    def tags(self, picture: bytes, model: str, threshold: float = 0.0) -> dict[str, float]:
        """Tag → probability by the WD14 tagger, in either of its two answer shapes (flat, or by group)."""
        body = {"image": encode(picture), "model": model, "threshold": threshold, "queue": "", "name_in_queue": ""}
        caption = self.post("/tagger/v1/interrogate", body)["caption"]
        flat: dict[str, float] = {}
        for name, value in caption.items():
            if isinstance(value, Mapping):
                flat.update({str(tag): float(p) for tag, p in value.items()})
            else:
                flat[str(name)] = float(value)
        return flat

    def _list(self, route: str, shape: TypeAdapter[list[Entry]]) -> list[Entry]:
        try:
            return shape.validate_python(self.get(route))
        except ValidationError as error:
            raise _not_its_shape(route, error) from error

    def _generated(self, route: str, payload: Mapping[str, Any]) -> Generated:
        answer = self.post(route, dict(payload))
        try:
            images = [base64.b64decode(text.rpartition(",")[2], validate=True) for text in answer["images"]]
            return Generated(images=images, info=parse_info(answer["info"]))
        except (KeyError, TypeError, ValueError, binascii.Error, ValidationError) as error:
            raise _not_its_shape(route, error) from error

    def _answer(self, route: str, method: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, route, **request)
        except httpx.ConnectError as error:
            raise ServerUnreachable(self.url) from error
        except httpx.ConnectTimeout as error:
            raise ServerUnreachable(
                self.url, cause=f"The address did not answer within {CONNECT_TIMEOUT_S:.0f} s."
            ) from error
        except httpx.TimeoutException as error:
            raise ServerUnreachable(
                self.url,
                cause=f"{route} gave no answer in time; the server may still be working on it.",
                fix="Look at the webui's console, then run the same command again.",
            ) from error
        except httpx.TransportError as error:
            raise ServerUnreachable(
                self.url,
                cause=f"The connection broke during {route} ({type(error).__name__}): it was closed or restarted.",
                fix="Start it again; the same command then goes on where it stopped.",
            ) from error
        self.simulated = SIMULATED_HEADER in response.headers
        if response.status_code != httpx.codes.OK:
            raise self._error(route, response)
        try:
            return response.json()
        except ValueError as error:
            raise ServerUnreachable(
                self.url, cause="Something answers there that is not A1111.", fix="Check the address."
            ) from error

    def _error(self, route: str, response: httpx.Response) -> Exception:
        status = response.status_code
        try:
            body = response.json()
        except ValueError:
            body = {}
        body = body if isinstance(body, dict) else {}
        if status == httpx.codes.UNAUTHORIZED:
            return InstallError(
                f"A1111 at {self.url} asks for a user and password ({body.get('detail') or 'Not authenticated'}).",
                cause="It was started with --api-auth.",
                fix="Set ORCHESTRATOR_A1111_USER and ORCHESTRATOR_A1111_PASSWORD.",
            )
        if status == httpx.codes.NOT_FOUND and body.get("detail") == "Not Found" and route.startswith("/sdapi/"):
            return ServerUnreachable(
                self.url,
                cause=f"Something answers there, but has no {route}: it has no --api, or is still starting.",
            )
        kind = str(body.get("error") or "")
        text = str(body.get("errors") or body.get("detail") or response.text[:300] or response.reason_phrase)
        cause, fix = _advice(kind, text)
        return ServerError(route, status, kind, text, cause=cause, fix=fix)


def _not_its_shape(route: str, error: Exception) -> ServerError:
    return ServerError(route, 200, type(error).__name__, f"the answer has not the shape of A1111's: {error}")


def _advice(kind: str, text: str) -> tuple[str, str]:
    """Cause and fix for the errors of A1111 that people meet most."""
    if kind == "OutOfMemoryError" or "out of memory" in text:
        return "The graphics card's memory is full.", "Close other programs that use it, or draw smaller pictures."
    if kind == "NansException":
        return (
            "The picture became NaN: an exploded LoRA, or a checkpoint or VAE that half precision does not suit.",
            "Use an earlier epoch or a lower weight; for a VAE start the webui with --no-half-vae.",
        )
    return "", "The webui's console says more."


def encode(picture: bytes) -> str:
    """A picture's bytes as A1111 takes them: plain base64."""
    return base64.b64encode(picture).decode("ascii")
