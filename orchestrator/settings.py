"""Where the installs are. Sources, the later wins: settings.toml in the user's configuration folder, ORCHESTRATOR_*
variables, the command line.

Passwords come from environment variables alone, so that they stand in no file and no process list.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from orchestrator.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_URL = "http://127.0.0.1:7860"
#: Holds the password of every server that names no variable of its own.
PASSWORD_VARIABLE = "ORCHESTRATOR_A1111_PASSWORD"
_PREFIX = "ORCHESTRATOR_"
_URL_VARIABLE = f"{_PREFIX}A1111_URL"
#: Settings that are lists or tables; a variable gives them as JSON.
_STRUCTURED = frozenset({"servers", "a1111_command", "notify", "notify_on"})
#: Names of this machine that are one address.
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def settings_file() -> Path:
    """The file the settings are read from; it need not exist."""
    return Path(platformdirs.user_config_dir("orchestrator", appauthor=False)) / "settings.toml"


@dataclass(frozen=True)
class ServerAddress:
    """One A1111 to drive. `lora_folder` is its models/Lora as this machine sees it; empty = asked from A1111."""

    url: str
    user: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    lora_folder: str = ""

    @property
    def on_this_machine(self) -> bool:
        """Whether the address is a loopback one."""
        return is_loopback(self.url)


def is_loopback(url: str) -> bool:
    """Whether `url` leads to this very machine."""
    host = urlsplit(url).hostname or ""
    return host in _LOOPBACK or host.startswith("127.")


def completed(url: str) -> str:
    """`url` with its scheme and without a trailing slash. Raises ValueError where it is no address of a server."""
    url = url.strip()
    if "://" not in url:
        url = f"http://{url}"
    problem = "this is no address such as http://127.0.0.1:7860"
    try:
        parts = urlsplit(url)
        port_is_one = parts.port != 0  # reading it raises where it is no number, or above 65535
    except ValueError:
        raise ValueError(problem) from None
    # Blanks and quotes reach this far from a badly quoted command line.
    is_one = parts.hostname and set(parts.netloc).isdisjoint(" \"'<>\\") and port_is_one
    if parts.scheme not in {"http", "https"} or not is_one:
        raise ValueError(problem)
    if parts.username is not None or parts.password is not None:
        raise ValueError("give user and password apart from the address (a1111_user, ORCHESTRATOR_A1111_PASSWORD)")
    if parts.query or parts.fragment:
        raise ValueError("an address ends before ? and #")
    return url.rstrip("/")


def _sendable(user: str) -> str:
    # HTTP Basic parts user and password at the first colon, and A1111 reads both as ASCII (observed: 401 for others).
    if ":" in user or not user.isascii():
        raise ValueError("a user with a colon or a letter outside ASCII cannot log in to A1111")
    return user


def _not_written(value: object) -> object:
    if isinstance(value, _Written):
        raise ValueError(f"a password must not stand in a file; set {PASSWORD_VARIABLE}, or name a variable in servers")
    return value


Url = Annotated[str, AfterValidator(completed)]
User = Annotated[str, AfterValidator(_sendable)]


class ServerEntry(BaseModel):
    """One table [[servers]] of settings.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Url
    user: User = ""
    #: The environment variable that holds this server's password; empty = ORCHESTRATOR_A1111_PASSWORD.
    password_env: Annotated[str, Field(pattern=r"^[A-Za-z_]?[A-Za-z0-9_]*$")] = ""
    #: This server's models/Lora as this machine sees it; empty = asked from it.
    lora_folder: str = ""

    @model_validator(mode="before")
    @classmethod
    def _no_password(cls, value: Any) -> Any:
        if isinstance(value, dict) and "password" in value:
            raise ValueError("a password must not stand in a file; name its environment variable in password_env")
        return value


class _Written:
    """Stands for a password somebody wrote into the file, without holding it."""


class Settings(BaseModel):
    """The user's installs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    a1111_url: Url = DEFAULT_URL
    a1111_user: User = ""
    a1111_password: Annotated[SecretStr, BeforeValidator(_not_written)] = SecretStr("")
    #: A1111's models/Lora; empty = asked from A1111, which works when it runs on this machine.
    lora_folder: str = ""
    #: Several A1111, each with its own credentials and folder.
    servers: tuple[ServerEntry, ...] = ()
    #: The program that starts the webui, as a list of words; then it is started and stopped by us where none runs.
    a1111_command: tuple[str, ...] = ()
    #: The folder it is started in; empty = the program's own.
    a1111_folder: str = ""
    #: Pictures after which a webui that leaks memory is started anew; 0 = never.
    restart_every: Annotated[int, Field(ge=0)] = 0
    #: Seconds a server that went away in the middle is waited for.
    patience_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    #: The kohya_ss or sd-scripts folder.
    kohya_folder: str = ""
    #: The Python sd-scripts runs with; empty = the one of its own venv.
    kohya_python: str = ""
    #: The hours `queue add --tonight` means.
    night: str = "23:00-07:00"
    #: Memory of the graphics card in GB that other programs may hold before the queue waits for them.
    card_in_use_gb: Annotated[float, Field(ge=0)] = 2.0
    #: Where the queue tells how the night went: addresses as apprise takes them; ${NAME} is read from the environment.
    notify: tuple[SecretStr, ...] = ()
    #: What is told: one message a night, and at once what failed, stalled, or was finished.
    notify_on: tuple[Literal["night", "failed", "stalled", "finished"], ...] = ("night", "failed", "stalled")
    #: What the machine does when the queue is done.
    when_done: Literal["nothing", "sleep", "shutdown"] = "nothing"
    #: The addresses after the first that --url named; None = neither it nor the variable named any, so that the file's
    #: servers are driven. The alias keeps it out of the file and the environment.
    more_urls: tuple[Url, ...] | None = Field(default=None, alias="--url")

    @model_validator(mode="after")
    def _no_server_twice(self) -> Settings:
        problems = _twice("servers", [entry.url for entry in self.servers])
        if self.more_urls is not None:
            problems += _twice("--url", [self.a1111_url, *self.more_urls])
        if self.a1111_command and not self.a1111_command[0].strip():
            problems.append("a1111_command: its first word is the program, and it is empty")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def addresses(self) -> tuple[ServerAddress, ...]:
        """The servers to drive, at least one, the first being the one that single-server commands use.

        Those of --url; else that of ORCHESTRATOR_A1111_URL; else `a1111_url` (where it is written) and all `servers`.
        Credentials and folder are those of the entry in `servers` with the same address, else `a1111_user` and
        `lora_folder`. Raises `InputError` naming every environment variable that should hold a password and is not
        there.
        """
        entries = {_place(entry.url): entry for entry in self.servers}
        if self.more_urls is not None:
            urls: list[str] = [self.a1111_url, *self.more_urls]
        else:
            written = "a1111_url" in self.model_fields_set or not self.servers
            urls = [self.a1111_url] * written + [entry.url for entry in self.servers]
        known = {_place(url): url for url in reversed(urls)}
        missing: dict[str, str] = {}
        found: list[ServerAddress] = []
        for place, url in reversed(known.items()):
            entry = entries.get(place)
            if entry is None:
                found.append(ServerAddress(url, self.a1111_user, self.a1111_password, self.lora_folder))
                continue
            password = self.a1111_password
            if entry.password_env:
                password = SecretStr(os.environ.get(entry.password_env, ""))
                if entry.password_env not in os.environ:
                    missing[entry.password_env] = url
            found.append(ServerAddress(url, entry.user, password, entry.lora_folder))
        if missing:
            named = "; ".join(f"{variable} for {url}" for variable, url in missing.items())
            raise InputError(
                f"There is no environment variable with the password: {named}.",
                cause=f"`password_env` in {settings_file()} names it.",
                fix="Set it in this terminal, or correct its name in the file.",
            )
        return tuple(found)


def load_settings(**given: Any) -> Settings:
    """The settings, with what the command line gave on top (None = not given). `a1111_url` may be one address or
    several. Raises `InputError` naming every wrong value and its place.
    """
    values = {key: value for key, value in given.items() if value is not None}
    urls = values.pop("a1111_url", ())
    urls = (urls,) if isinstance(urls, str) else tuple(urls)
    if urls:
        values |= {"a1111_url": urls[0], "--url": urls[1:]}
    elif any(name.upper() == _URL_VARIABLE for name in os.environ):
        values["--url"] = ()
    try:
        return Settings.model_validate({**_written(settings_file()), **_said(os.environ), **values})
    except ValidationError as error:
        problems = "; ".join(
            ": ".join(filter(None, (_spot(e["loc"]), e["msg"].removeprefix("Value error, ")))) for e in error.errors()
        )
        raise InputError(
            f"The settings cannot be used: {problems}.",
            fix=f"Correct {settings_file()}, the ORCHESTRATOR_* variables or the options.",
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(
            f"{settings_file()} is not valid TOML: {error}."
            if isinstance(error, ValueError)
            else f"{settings_file()} cannot be read: {error.strerror or error}.",
            fix="Correct the file and run the same command again.",
        ) from None


def _written(file: Path) -> dict[str, Any]:
    """What the file says. Raises `OSError`, `ValueError` for what is no TOML."""
    if not file.is_file():
        return {}
    values = tomllib.loads(file.read_text(encoding="utf-8"))
    if "--url" in values:  # the command line's alone
        values["--url in the file"] = values.pop("--url")
    return {key: _Written() if key == "a1111_password" else value for key, value in values.items()}


def _said(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the variables say, in upper or lower case; those that name no setting are somebody else's.

    Raises `InputError` for a list that is no JSON.
    """
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.upper().removeprefix(_PREFIX).lower()
        if not variable.upper().startswith(_PREFIX) or name == "more_urls" or name not in Settings.model_fields:
            continue
        try:
            found[name] = json.loads(text) if name in _STRUCTURED else text
        except ValueError:
            raise InputError(
                f"{variable} cannot be used: it is no JSON.",
                cause="Lists and tables are given as JSON there.",
                fix="Correct it, or write the value into settings.toml.",
            ) from None
    return found


def _spot(location: Sequence[int | str]) -> str:
    """`servers[2].url`, counted from 1 as people count."""
    spot = ""
    for step in location:
        if isinstance(step, int):
            # The first of --url is `a1111_url`.
            spot += f"[{step + (2 if spot == '--url' else 1)}]"
        else:
            spot += f".{step}" if spot else step
    return spot


def _twice(what: str, urls: Iterable[str]) -> list[str]:
    seen: set[tuple[str, int, str]] = set()
    twice: list[str] = []
    for url in urls:
        if _place(url) in seen:
            twice.append(f"{what}: {url} stands there twice")
        seen.add(_place(url))
    return twice


def _place(url: str) -> tuple[str, int, str]:
    """Host, port and path: two addresses of the same place give the same."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return "127.0.0.1" if host in _LOOPBACK else host, port, parts.path.rstrip("/")
