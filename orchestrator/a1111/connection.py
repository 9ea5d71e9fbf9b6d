"""HTTP to one A1111: typed errors, nothing sent twice blindly, and drawing requests that are waited for as long as the
server works on them, and no longer.

Three facts (observed on 1.10.1, Forge and reForge) decide how it is done. An idle connection is closed after 5 s, and
Forge closes it after each 500 without saying so: every POST goes over a connection of its own, since one that was cut
off may have been taken. A client that hangs up does not stop the server: so no fixed timeout cuts off a slow picture.
A server that was restarted has forgotten the request: so a request that takes long is asked for by its task id.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic_core import from_json

from orchestrator.errors import AnswerLost, InstallError, OrchestratorError, ServerError, ServerStarting
from orchestrator.errors import ServerUnreachable as Unreachable

CONNECT_TIMEOUT_S = 5.0
#: Seconds a route that draws nothing may take; some wait in the queue behind the picture being drawn.
ANSWER_TIMEOUT_S = 300.0
#: Seconds between two looks at a drawing request that has no answer yet.
LOOK_EVERY_S = 10.0
#: Seconds the rest of an answer may take once its head is here: a batch of large pictures over a slow link.
_BODY_WITHIN_S = 120.0
#: A request is given up after so many looks in a row that found no trace of it: encoding may take a moment.
_LOOKS = 2
# One that is older is closed by A1111 at any moment (after 5.0 s of rest, measured).
_KEEPALIVE_S = 4.0
#: Answers of a proxy that gave up on A1111; A1111 itself never sends them.
_PROXY_GAVE_UP = frozenset({502, 503, 504})

#: Sent with every answer by servers that only simulate A1111; whatever is made from them is called simulated.
SIMULATED_HEADER = "x-simulated"


@dataclass(frozen=True)
class TaskState:
    """What the server knows of one drawing request. All False = nothing (not taken, forgotten, or long ago).

    A request that failed stays `active` until the next one begins (observed), and only the last 16 are remembered as
    `completed`. `progress` runs from 0 to 1.
    """

    active: bool = False
    queued: bool = False
    completed: bool = False
    progress: float | None = None


@dataclass
class _Sent:
    """A drawing request on its way."""

    task: str
    since: float
    socket: socket.socket | None = None
    answering_since: float | None = None
    misses: int = 0
    lost: str = ""
    #: The server said so itself.
    answers: bool = False
    trace: Callable[[str, dict[str, Any]], None] = field(init=False)

    def __post_init__(self) -> None:
        self.trace = self._traced

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self.socket = info["return_value"].get_extra_info("socket")
        elif event.endswith("receive_response_headers.complete"):
            self.answering_since = time.monotonic()

    def hang_up(self, why: str, *, answers: bool = False) -> None:
        self.lost, self.answers = why, answers
        if self.socket is not None:
            with contextlib.suppress(OSError, ValueError):
                self.socket.shutdown(socket.SHUT_RDWR)


class Connection:
    """One server. Safe to use from several threads. `transport` replaces the network (tests).

    Raises `ServerUnreachable` (nothing was taken), `ServerStarting` (no API there yet),
    `AnswerLost` (it may have been taken), `ServerError` (an answer that says no), `InstallError` (credentials).
    """

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.url = url.rstrip("/")
        #: Whether the answers come from a simulation, which says so in a header of each.
        self.simulated = False
        #: Seconds between two looks at a request without an answer.
        self.look_every_s = look_every_s
        self._timeout_s = timeout_s
        # A1111 sends no WWW-Authenticate header, so credentials must go with the first request; httpx does that for
        # basic auth.
        auth = httpx.BasicAuth(username, password) if username else None

        def client(limits: httpx.Limits) -> httpx.Client:
            return httpx.Client(
                base_url=self.url,
                auth=auth,
                transport=transport,
                timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
                limits=limits,
                # gzip -9 of PNG costs the server 20-80 ms a picture for little (measured).
                headers={"Accept-Encoding": "identity"},
                # A proxy from the environment has no business between us and a server on this machine or in this house.
                trust_env=False,
            )

        self._kept = client(httpx.Limits(max_connections=8, keepalive_expiry=_KEEPALIVE_S))
        self._fresh = client(httpx.Limits(max_connections=None, max_keepalive_connections=0))
        self._lock = threading.Lock()
        self._sent: dict[int, _Sent] = {}
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None
        self._has_tasks = True

    def close(self) -> None:
        """Close the connections."""
        self._closed.set()
        self._kept.close()
        self._fresh.close()

    def get(self, route: str, **params: Any) -> Any:
        """The JSON of a GET route; asked once more when the connection it went over turns out to be dead."""
        try:
            return self._answer(route, self._kept, "GET", params=params)
        except AnswerLost:
            return self._answer(route, self._kept, "GET", params=params)

    def post(self, route: str, body: Any = None) -> Any:
        """The JSON of a POST route. Never repeated: A1111 goes on with a request whose caller is gone."""
        return self._answer(route, self._fresh, "POST", json={} if body is None else body)

    def draw(self, route: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a route that draws; `body` names its task as `force_task_id`.

        Waits as long as the server works on it, and raises `AnswerLost` when the server no longer knows of it.
        """
        sent = _Sent(str(body.get("force_task_id") or ""), time.monotonic())
        with self._watched(sent):
            timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S, write=self._timeout_s)
            return self._answer(
                route, self._fresh, "POST", sent=sent, json=dict(body), timeout=timeout,
                extensions={"trace": sent.trace},
            )  # fmt: skip

    def task(self, task: str) -> TaskState | None:
        """What the server knows of the request with this `force_task_id`; None where it cannot be asked (started with
        --nowebui, which has no /internal routes).
        """
        if not self._has_tasks:
            return None
        try:
            answer = self.post("/internal/progress", {"id_task": task, "id_live_preview": -1, "live_preview": False})
            return TaskState(
                bool(answer["active"]), bool(answer["queued"]), bool(answer["completed"]), answer.get("progress")
            )
        except ServerError as error:
            # Missing while it starts, too; only where the API is there is it missing for good.
            if error.status in {404, 405} and self.get("/sdapi/v1/progress", skip_current_image="true"):
                self._has_tasks = False
            return None
        except (KeyError, TypeError):
            return None

    def hang_up(self, why: str = "stopped") -> None:
        """Cut off every drawing request that has no answer yet: each raises `AnswerLost`. The server goes on with
        them.
        """
        with self._lock:
            waiting = list(self._sent.values())
        for sent in waiting:
            sent.hang_up(why)

    @contextlib.contextmanager
    def _watched(self, sent: _Sent) -> Any:
        with self._lock:
            self._sent[id(sent)] = sent
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="watch requests", daemon=True)
                self._watcher.start()
        try:
            yield
        finally:
            with self._lock:
                del self._sent[id(sent)]

    def _watch(self) -> None:
        while not self._closed.wait(self.look_every_s):
            now = time.monotonic()
            with self._lock:
                old = [s for s in self._sent.values() if now - s.since >= self.look_every_s and not s.lost]
            for sent in old:
                if sent.answering_since is not None:
                    if now - sent.answering_since > _BODY_WITHIN_S:
                        sent.hang_up(f"The rest of the answer did not come within {_BODY_WITHIN_S:.0f} s.")
                    continue
                why, answers = self._missing(sent)
                sent.misses = sent.misses + 1 if why else 0
                if sent.misses >= _LOOKS:
                    sent.hang_up(why, answers=answers)

    def _missing(self, sent: _Sent) -> tuple[str, bool]:
        """Why there is no point in waiting for `sent` any longer (empty = the server is at it), and whether the server
        was heard.
        """
        # A port that is shut needs no question; one that has just opened may be a webui that a question would end, but
        # then the connection was reset and nobody waits here.
        if not port_is_open(self.url):
            return "Nothing listens at its address any more.", False
        try:
            state = self.task(sent.task) if sent.task else None
            if state and state.queued:
                return "", True
            if state and not state.active:
                done = "The server says that it is done, and no answer came."
                unknown = "The server does not know of the request: it was restarted, or never took it."
                return (done if state.completed else unknown), True
            # A failed request stays "active" for ever on a server that has nothing else to do.
            running = self.get("/sdapi/v1/progress", skip_current_image="true")["state"]
            busy = running.get("job_count") or running.get("job")
            return ("" if busy else "The server draws nothing at the moment."), True
        except (KeyError, TypeError, ServerError):
            return "", True
        except OrchestratorError as error:
            return f"The server does not answer any more ({error.what})", False

    def _answer(self, route: str, client: httpx.Client, method: str, sent: _Sent | None = None, **request: Any) -> Any:
        task = sent.task if sent else ""
        try:
            response = client.request(method, route, **request)
        except httpx.ConnectTimeout as error:
            raise Unreachable(
                self.url, cause=f"The address did not answer within {CONNECT_TIMEOUT_S:.0f} s."
            ) from error
        except httpx.ConnectError as error:
            self._has_tasks = True  # whatever comes back may have been started in another way
            raise Unreachable(self.url) from error
        except httpx.TimeoutException as error:
            raise AnswerLost(
                self.url,
                task=task,
                cause=f"{route} gave no answer in time; the server may still be working on it.",
                fix="Look at the webui's console, then run the same command again.",
            ) from error
        except (httpx.TransportError, OSError, ValueError) as error:
            # An OSError or ValueError comes out of a socket that was hung up under its reader.
            if isinstance(error, httpx.UnsupportedProtocol) or (
                not isinstance(error, httpx.TransportError) and not (sent and sent.lost)
            ):
                raise
            broke = f"The connection broke during {route} ({type(error).__name__}): it was closed or restarted."
            raise AnswerLost(
                self.url,
                task=task,
                answers=bool(sent and sent.answers),
                cause=sent.lost if sent and sent.lost else broke,
                fix="Start it again; the same command then goes on where it stopped.",
            ) from error
        self.simulated = SIMULATED_HEADER in response.headers
        if response.status_code in _PROXY_GAVE_UP and _object(response) == {}:
            raise AnswerLost(
                self.url,
                task=task,
                cause=f"A proxy in between answered {route} with {response.status_code} in the server's place.",
                fix="Talk to A1111 directly, or give the proxy a longer timeout.",
            )
        if response.status_code != httpx.codes.OK:
            raise self._error(route, response)
        try:
            return from_json(response.content)
        except ValueError as error:
            if sent is not None:
                # The picture may have been drawn: this must be counted, and not be asked for again for ever.
                raise AnswerLost(
                    self.url, task=task, cause=f"What {route} answered is no JSON: something in between changes it."
                ) from error
            raise Unreachable(
                self.url, cause="Something answers there that is not A1111.", fix="Check the address."
            ) from error

    def _error(self, route: str, response: httpx.Response) -> OrchestratorError:
        status = response.status_code
        body = _object(response)
        if status == httpx.codes.UNAUTHORIZED:
            return InstallError(
                f"A1111 at {self.url} asks for a user and password ({body.get('detail') or 'Not authenticated'}).",
                cause="It was started with --api-auth.",
                fix="Set ORCHESTRATOR_A1111_USER and ORCHESTRATOR_A1111_PASSWORD.",
            )
        if status == httpx.codes.NOT_FOUND and body.get("detail") == "Not Found" and route.startswith("/sdapi/"):
            return ServerStarting(
                self.url,
                cause=f"Something answers there, but has no {route}: it has no --api, or is still starting.",
            )
        if route.endswith("/cmd-flags"):
            # Forge answers 500 to its own --port, and lists every flag in it, api_auth in clear text too.
            body = {"error": body.get("error"), "errors": "its own flags do not fit its own answer"}
        kind, text = failure(body) or ("", response.text[:300] or response.reason_phrase)
        cause, fix = advice(kind, text)
        return ServerError(route, status, kind, text, cause=cause, fix=fix)


def port_is_open(url: str) -> bool:
    """Whether something accepts connections at `url`. A connection without a request harms no webui that starts."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", port), timeout=2.0):
            return True
    except OSError:
        return False


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = from_json(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def failure(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The exception's class and its text from the body of an answer that is no 200, in any of the servers' shapes.

    A1111 and reForge say `errors`, Forge `message`, all of them a list under `detail` where a field is wrong (422).
    What was sent is never repeated: Forge echoes it, pictures included. None where the body says nothing.
    """
    detail = body.get("detail")
    if isinstance(detail, list):
        lines = [
            f"{'.'.join(str(step) for step in one.get('loc', ())[1:]) or 'the request'}: {one.get('msg', 'is wrong')}"
            for one in detail
            if isinstance(one, dict)
        ]
        return "", "; ".join(lines) or "a field is wrong"
    text = body.get("errors") or body.get("message") or detail
    return (str(body.get("error") or ""), str(text or body["error"])) if text or body.get("error") else None


def advice(kind: str, text: str) -> tuple[str, str]:
    """Cause and fix for the errors of A1111 that people meet most."""
    if kind == "OutOfMemoryError" or "out of memory" in text:
        return "The graphics card's memory is full.", "Close other programs that use it, or draw smaller pictures."
    if kind == "NansException":
        return (
            "The picture became NaN: an exploded LoRA, or a checkpoint or VAE that half precision does not suit.",
            "Use an earlier epoch or a lower weight; for a VAE start the webui with --no-half-vae.",
        )
    if "No space left" in text:
        return "The disk of the machine that draws is full.", "Free some space there, then run the same command again."
    return "", "The webui's console says more."
