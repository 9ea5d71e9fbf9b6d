"""One A1111: whether it answers, as whom, what it is, and everything it must have."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.a1111.client import A1111
from orchestrator.a1111.connection import port_is_open
from orchestrator.a1111.dialect import Dialect, recognise
from orchestrator.doctor.finding import DRAWING, Finding, Work, guarded
from orchestrator.doctor.lora_folder import AREA as LORA_FOLDER
from orchestrator.doctor.lora_folder import about_lora_folder
from orchestrator.doctor.names import AREA as NAMES
from orchestrator.doctor.names import about_loras, about_names
from orchestrator.doctor.options import AREA as OPTIONS
from orchestrator.doctor.options import about_leaks, about_options
from orchestrator.errors import (
    InputError,
    InstallError,
    OrchestratorError,
    ServerError,
    ServerStarting,
    ServerUnreachable,
)
from orchestrator.profile.model import Profile
from orchestrator.settings import PASSWORD_VARIABLE, ServerAddress, settings_file

SERVER = "A1111"
LOGIN = "A1111 login"
EXTRAS = "A1111 extras"
AREAS = (SERVER, LOGIN, OPTIONS, NAMES, LORA_FOLDER, EXTRAS)
#: A server that lists its options for longer than this hangs; a real one takes some 10 ms, also while it draws.
PATIENCE_S = 5.0
#: The only route that tells the version without drawing takes 2 to 4.5 s on a real server.
_VERSION_WITHIN_S = 3.0


@dataclass(frozen=True)
class Seen:
    """What was seen of one server. `answers` = it can be worked with; `refused` = nothing listens there."""

    address: ServerAddress
    findings: tuple[Finding, ...]
    answers: bool = False
    refused: bool = False
    dialect: str = ""
    version: str = ""


def look(address: ServerAddress, profile: Profile | None) -> Seen:
    """Everything about the server at `address`; `profile` adds what it names. Draws nothing."""
    try:
        opened = _open(address, PATIENCE_S)
    except InputError as error:
        stops = _stopped(profile)
        wrong = Finding(LOGIN, error.what.rstrip("."), "blocker", stops, error.cause, error.fix, address.url)
        return Seen(address, (wrong,))
    with ThreadPoolExecutor(max_workers=1) as pool, opened as client:
        try:
            options = client.options()
        except OrchestratorError as error:
            refused = isinstance(error, ServerUnreachable) and not port_is_open(address.url)
            finding = dataclasses.replace(
                _cannot_be_asked(address, profile, error, refused=refused), server=address.url
            )
            return Seen(address, (finding,), refused=refused)
        telling = pool.submit(_version, address)
        dialect: list[Dialect] = []
        busy: list[bool] = []
        flags: dict[str, Any] = {}
        findings = guarded(LOGIN, partial(_login, client, address, flags))
        findings += guarded(OPTIONS, partial(_options, options, flags, profile))
        failed = guarded(SERVER, partial(_what_it_is, client, dialect, busy))
        if profile and dialect:
            findings += guarded(NAMES, partial(about_names, client, profile, dialect[0], options))
        findings += guarded(
            LORA_FOLDER, partial(about_lora_folder, client, address.lora_folder, busy=not busy or busy[0])
        )
        if profile:
            findings += guarded(NAMES, lambda: about_loras(profile, client.loras()))
        findings += guarded(EXTRAS, partial(_extras, client))
        version = telling.result()
        findings += failed or [_named(client, dialect[0], version, busy=busy[0])]
    # "ok" about the names is not said beside a LoRA that is missing.
    if any(f.area == NAMES and f.level not in {"ok", "optional"} for f in findings):
        findings = [f for f in findings if f.area != NAMES or f.level != "ok"]
    placed = tuple(dataclasses.replace(finding, server=address.url) for finding in findings)
    return Seen(address, placed, answers=True, dialect=dialect[0].name if dialect else "", version=version)


def _open(address: ServerAddress, timeout_s: float) -> A1111:
    password = address.password.get_secret_value()
    return A1111(address.url, username=address.user, password=password, timeout_s=timeout_s)


def _cannot_be_asked(
    address: ServerAddress, profile: Profile | None, error: OrchestratorError, *, refused: bool
) -> Finding:
    url = address.url
    stops = _stopped(profile)
    if isinstance(error, ServerStarting):
        return Finding(
            SERVER,
            f"{url} answers, /sdapi/v1 gives 404",
            "blocker",
            stops,
            "It was started without --api, or is still starting.",
            "Add --api to COMMANDLINE_ARGS in webui-user.bat (webui-user.sh) and start it anew. If it has --api: wait "
            "for the line `Startup time:` in its console; where it does not come (reForge), start it anew.",
        )
    if isinstance(error, ServerUnreachable):
        return Finding(
            SERVER,
            f"nothing listens at {url}" if refused else f"nothing usable at {url}",
            "blocker",
            stops,
            "It is not running, or has another port." if refused else error.cause,
            "Start the webui with --api, or name its address: --url, or a1111_url in settings.toml.",
        )
    if isinstance(error, ServerError) and error.status >= 500:
        return Finding(
            SERVER,
            f"{url} cannot list its options ({error.kind or error.status}: {error.text[:200]})",
            "blocker",
            stops,
            "Some program set an option to a value of a wrong type; A1111 takes it and then fails at every reading.",
            "Set the option named above to a right value in the webui (Settings > Apply settings), or mend it in its "
            "config.json and start it anew.",
        )
    if isinstance(error, ServerError):
        return Finding(
            SERVER,
            f"something answers at {url} that is no A1111 (status {error.status})",
            "blocker",
            stops,
            "Another program has this port.",
            "Look at the address the webui prints at its start, and name it with --url.",
        )
    if isinstance(error, InstallError):
        return _refused(address, stops)
    return Finding(SERVER, error.what.rstrip("."), "blocker", stops, error.cause, error.fix)


def _stopped(profile: Profile | None) -> tuple[Work, ...]:
    # Training needs the server only to learn which file its checkpoint is.
    return (*DRAWING, "training") if profile and not profile.base.path else DRAWING


def _refused(address: ServerAddress, stops: tuple[Work, ...]) -> Finding:
    secret = bool(address.password.get_secret_value())
    if not address.user:
        what, cause = f"{address.url} asks for a user and a password", "It was started with --api-auth user:password."
    elif not secret:
        what, cause = f"{address.url} refuses {address.user!r}", "No password is set here for it."
    else:
        what, cause = (
            f"{address.url} refuses {address.user!r} or the password",
            "One of them is not that of --api-auth.",
        )
    return Finding(
        LOGIN,
        what,
        "blocker",
        stops,
        cause,
        f"Set ORCHESTRATOR_A1111_USER and {PASSWORD_VARIABLE}; for one of several servers, user and password_env of "
        f"its table [[servers]] in {settings_file()}.",
    )


def _what_it_is(client: A1111, dialect: list[Dialect], busy: list[bool]) -> Iterator[Finding]:
    state = client.progress().state
    busy.append(bool(state.job or state.job_count))
    dialect.append(recognise(client))
    yield from ()


def _named(client: A1111, dialect: Dialect, version: str, *, busy: bool) -> Finding:
    kind = "simulated " if client.simulated else ""
    told = version or "version not told without drawing"
    return Finding(SERVER, f"{client.url}: {kind}{dialect.name}, {told}, {'drawing' if busy else 'idle'}")


def _version(address: ServerAddress) -> str:
    """The version as /internal/sysinfo tells it; empty where it does not, or not soon enough."""
    try:
        with _open(address, _VERSION_WITHIN_S) as client:
            told = client.get("/internal/sysinfo")
        return str(told["Version"]) if isinstance(told, dict) and told.get("Version") else ""
    except OrchestratorError:
        return ""


def _login(client: A1111, address: ServerAddress, flags: dict[str, Any]) -> Iterator[Finding]:
    # The options were read, and that route asks for credentials; LoRA files, for one, anybody may list.
    with contextlib.suppress(ServerError):  # Forge fails at its flags whenever it was started with --port
        flags.update(client.cmd_flags())
    if address.user and flags and not flags.get("api_auth"):
        yield Finding(
            LOGIN,
            f"{address.user!r} is set here, and the server asks nobody who they are",
            "optional",
            cause="It was started without --api-auth.",
        )
    elif address.user:
        yield Finding(LOGIN, f"{address.user!r} and the password are accepted")


def _options(options: Mapping[str, Any], flags: Mapping[str, Any], profile: Profile | None) -> Iterator[Finding]:
    problems = [
        *about_options(options, profile.generation.clip_skip if profile else None),
        *about_leaks(options, flags),
    ]
    yield from problems
    if all(problem.level == "optional" for problem in problems):
        yield Finding(OPTIONS, "nothing that would spoil a comparison")


def _extras(client: A1111) -> Iterator[Finding]:
    if not client.tagger_models():
        yield Finding(
            EXTRAS,
            "no WD14 tagger: poses are judged by deepdanbooru, or not at all",
            "optional",
            fix="In the webui: Extensions > Install from URL > "
            "https://github.com/picobyte/stable-diffusion-webui-wd14-tagger",
        )
    try:
        client.get("/internal/ping")
    except ServerError as error:
        if error.status not in {404, 405}:
            raise
        yield Finding(
            EXTRAS,
            "no /internal routes: a lost answer cannot be asked for by its task",
            "optional",
            cause="It was started with --nowebui. After a broken connection a picture may be drawn twice.",
            fix="Start it without --nowebui for long nights.",
        )
