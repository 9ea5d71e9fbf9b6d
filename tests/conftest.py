"""Fixtures for every kind of test."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before numpy is imported. Tests run beside each other: threads of numpy's would wait for each other (twice the time).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Hundreds of child processes: what one has compiled the next need not compile again, nor the next run its tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is no reason for a property test to fail.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here and not beside the contract tests, so that a plain `pytest` knows the options too."""
    parser.addoption("--night", action="store_true", help="also the tests that take minutes")
    group = parser.getgroup("a1111", "contract tests against an A1111 of yours")
    group.addoption("--a1111-url", metavar="URL", default="", help="instead of the simulated servers")
    group.addoption("--a1111-user", metavar="NAME", default="", help="with --api-auth")
    group.addoption("--a1111-password-env", metavar="VAR", default="", help="the variable that holds its password")
    group = parser.getgroup("evaluation", "the verdict in random worlds")
    group.addoption("--world-seed", metavar="N", type=int, default=1, help="other worlds: any whole number")
    group.addoption("--worlds", metavar="N", type=int, default=21, help="how many of them (default: 21)")
    group = parser.getgroup("kohya", "contract tests against an sd-scripts of yours")
    group.addoption("--kohya", metavar="PATH", default="", help="its folder, instead of the simulated trainer")
    group.addoption("--kohya-python", metavar="FILE", default="", help="the Python that runs it, where it has no venv")
    group.addoption(
        "--kohya-base", metavar="FILE", default="", help="an SD1.5 checkpoint: without it nothing is trained"
    )


#: Files whose tests take longest: begun first, so that at the end nobody waits for one of them.
_FIRST = (
    "test_demo.py",
    "test_demo_stopped.py",
    "test_training_killed.py",
    "test_render_faults.py",
    "test_pictures_commands.py",
    "test_native_plot.py",
    "test_sandbox_trainer_learning.py",
    "test_render_servers.py",
    "test_pictures_sets.py",
    "test_render_traps.py",
    "test_training_night.py",
    "test_training_run.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first, the unit tests (thousands of quick ones) last; what takes minutes when it is asked for."""

    places = {
        path: (_FIRST.index(path.name) if path.name in _FIRST else len(_FIRST), "unit" in path.parts)
        for path in {item.path for item in items}
    }
    items.sort(key=lambda item: places[item.path])
    if not config.getoption("--night"):
        for item in items:
            if item.get_closest_marker("night"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: --night"))


@pytest.fixture
def ugly_path(tmp_path: Path) -> Path:
    """A folder with a blank, quotes, a bracket, an accent and Japanese in its name: whatever quotes a path wrongly
    shows here.
    """
    folder = tmp_path / "it's a 'folder' [v1] é 初音ミク"
    folder.mkdir()
    return folder


_homes = itertools.count()


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads the settings, logs or models of whoever runs it."""
    # Not by `mktemp`: it looks through all folders there are for the next number, for thousands of tests.
    home = tmp_path_factory.getbasetemp() / "homes" / str(next(_homes))
    home.mkdir(parents=True)
    for name in list(os.environ):
        if name.startswith("ORCHESTRATOR_") and name != "ORCHESTRATOR_FACTS":
            monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    yield
