"""Contract tests: what this product leans on, held against any server that speaks A1111's API.

Without an option, one simulated server for each dialect. With `--a1111-url`, that server alone; it is left as it was.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.a1111.client import A1111
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.lora.deploy import find_lora_folder
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from tests.contract.subject import Observe, Subject

DIALECTS = ("a1111", "forge", "reforge", "classic")
#: Long enough for a request of many steps to be seen running and interrupted, short enough for all others.
_STEP_S = 0.01
_OBSERVED = "observed"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Against one real server the tests go one by one: two at a time would see each other's jobs and settings."""
    if config.getoption("a1111_url"):
        config.option.numprocesses = 0
    elif config.getoption("a1111_user") or config.getoption("a1111_password_env"):
        raise pytest.UsageError("--a1111-user and --a1111-password-env belong to --a1111-url")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" in metafunc.fixturenames:
        servers = ["server"] if metafunc.config.getoption("a1111_url") else DIALECTS
        metafunc.parametrize("subject", servers, indirect=True, scope="session")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What servers may do either way, as the ones at hand do it."""
    seen = [
        f"  {report.nodeid.rpartition('[')[2].rstrip(']')}: {what}"
        for report in terminalreporter.stats.get("passed", [])
        for kind, what in report.user_properties
        if kind == _OBSERVED
    ]
    if seen:
        terminalreporter.section("observed, neither right nor wrong")
        terminalreporter.write_line("\n".join(sorted(seen)))


@pytest.fixture(scope="session")
def _subjects(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Subject]]:
    """Each server once for all modules; in the end it must be as it was."""
    known: dict[str, Subject] = {}
    with ExitStack() as ends:

        def subject(name: str) -> Subject:
            if name not in known:
                if name == "server":
                    one = _given(request.config)
                else:
                    one = ends.enter_context(_simulated(name, tmp_path_factory.mktemp(name)))
                known[name] = ends.enter_context(_left_as_it_was(one))
            return known[name]

        yield subject


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest, _subjects: Callable[[str], Subject]) -> Subject:
    """The server under test."""
    return _subjects(request.param)


@pytest.fixture
def observe(record_property: Callable[[str, object], None]) -> Observe:
    """Tell, at the end of the run, what this server does where both ways are fine."""
    return lambda what: record_property(_OBSERVED, what)


def _given(config: pytest.Config) -> Subject:
    if hasattr(config, "workerinput"):
        pytest.fail("several workers would disturb each other on one server: pytest tests/contract --a1111-url …")
    variable = config.getoption("a1111_password_env")
    if variable and variable not in os.environ:
        pytest.exit(f"--a1111-password-env: there is no variable {variable}", pytest.ExitCode.USAGE_ERROR)
    try:
        return Subject(
            config.getoption("a1111_url"), config.getoption("a1111_user"), os.environ[variable] if variable else ""
        )
    except OrchestratorError as error:
        pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)


@contextmanager
def _simulated(dialect: str, home: Path) -> Iterator[Subject]:
    password = secrets.token_urlsafe(8)
    settings = Settings(
        dialect=dialect,  # type: ignore[arg-type]
        gpu_seconds_per_step=_STEP_S,
        api_auth=f"contract:{password}",
    )
    with sandbox.start(home, settings=settings) as running:
        yield Subject(running.url, "contract", password)


@contextmanager
def _left_as_it_was(subject: Subject) -> Iterator[Subject]:
    """Raises AssertionError in the end for an option or a LoRA file that a test left changed."""
    client = subject.client
    options, files = client.options(), _lora_files(client)
    try:
        yield subject
        now = client.options()
        changed = {
            name: (value, now.get(name))
            for name, value in options.items()
            if now.get(name) != value and not _same_checkpoint(client, name, value, now.get(name))
        }
        assert changed == {}
        assert _lora_files(client) == files
    finally:
        client.close()


def _same_checkpoint(client: A1111, name: str, before: Any, after: Any) -> bool:
    """A checkpoint's title gains its hash, and reForge knows none (null) until one was chosen for the first time."""
    if name not in {"sd_model_checkpoint", "sd_checkpoint_hash"}:
        return False
    models = client.models()
    return not before or any(one.answers_to(str(before)) and one.answers_to(str(after)) for one in models)


def _lora_files(client: A1111) -> set[str]:
    try:
        return {path.name for path in find_lora_folder(client).iterdir()}
    except (InputError, OSError):
        return set()  # on another machine
