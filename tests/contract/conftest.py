"""Contract tests: what this product leans on, held against any server that speaks A1111's API and any sd-scripts.

Without an option, one simulated server for each dialect and the simulated trainer. With `--a1111-url`, that server
alone, which is left as it was; with `--kohya`, that install alone, in which nothing is written.
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
from orchestrator.kohya.install import find as find_kohya
from orchestrator.lora.deploy import find_lora_folder
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from tests.contract import kohya_subject
from tests.contract.kohya_subject import Kohya
from tests.contract.subject import Observe, Subject

DIALECTS = ("a1111", "forge", "reforge", "classic")
#: Long enough for a request of many steps to be seen running and interrupted, short enough for all others.
_STEP_S = 0.01
_OBSERVED = "observed"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Against one real server the tests go one by one: two at a time would see each other's jobs and settings.

    So do those against a real trainer: two of them would take one card.
    """
    if config.getoption("a1111_url") or config.getoption("kohya"):
        config.option.numprocesses = 0
    elif config.getoption("a1111_user") or config.getoption("a1111_password_env"):
        raise pytest.UsageError("--a1111-user and --a1111-password-env belong to --a1111-url")
    if not config.getoption("kohya") and (config.getoption("kohya_python") or config.getoption("kohya_base")):
        raise pytest.UsageError("--kohya-python and --kohya-base belong to --kohya")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Who names one real thing is not shown the simulated other one."""
    named = {"subject": config.getoption("a1111_url"), "kohya": config.getoption("kohya")}
    if not any(named.values()):
        return
    here = Path(__file__).parent
    others = [
        item
        for item in items
        if here in item.path.parents
        and not any(value for name, value in named.items() if name in getattr(item, "fixturenames", ()))
    ]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" in metafunc.fixturenames:
        servers = ["server"] if metafunc.config.getoption("a1111_url") else DIALECTS
        metafunc.parametrize("subject", servers, indirect=True, scope="session")
    if "kohya" in metafunc.fixturenames:
        trainers = ["install"] if metafunc.config.getoption("kohya") else ["simulated"]
        metafunc.parametrize("kohya", trainers, indirect=True, scope="session")


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


@pytest.fixture(scope="session")
def kohya(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kohya:
    """The trainer under test."""
    if request.param == "simulated":
        return kohya_subject.simulated(tmp_path_factory.mktemp("kohya"))
    try:
        install = find_kohya(request.config.getoption("kohya"), request.config.getoption("kohya_python"))
    except OrchestratorError as error:
        pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
    base = request.config.getoption("kohya_base")
    if base and not Path(base).is_file():
        pytest.exit(f"--kohya-base: there is no file {base}", pytest.ExitCode.USAGE_ERROR)
    return Kohya(install, Path(base).absolute() if base else None, tmp_path_factory.mktemp("kohya"), real=True)


@pytest.fixture
def observe(record_property: Callable[[str, object], None]) -> Observe:
    """Tell, at the end of the run, what this server or trainer does where both ways are fine."""
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
