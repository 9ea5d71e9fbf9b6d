"""Fixtures for every kind of test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

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
    group = parser.getgroup("kohya", "contract tests against an sd-scripts of yours")
    group.addoption("--kohya", metavar="PATH", default="", help="its folder, instead of the simulated trainer")
    group.addoption("--kohya-python", metavar="FILE", default="", help="the Python that runs it, where it has no venv")
    group.addoption(
        "--kohya-base", metavar="FILE", default="", help="an SD1.5 checkpoint: without it nothing is trained"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes is run when it is asked for."""
    if config.getoption("--night"):
        return
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


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads the settings, logs or models of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith("ORCHESTRATOR_") and name != "ORCHESTRATOR_FACTS":
            monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    yield
