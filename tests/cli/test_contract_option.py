"""The contract tests against an address given on the command line, as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings

ROOT = Path(__file__).parents[2]


def contract(*arguments: str, part: str = "test_lists.py", **environment: str) -> tuple[int, str]:
    """Exit code and output of a run of part of the tests."""
    command = [sys.executable, "-m", "pytest", f"tests/contract/{part}", "-rs", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, encoding="utf-8",
        timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def forge(tmp_path: Path):  # type: ignore[no-untyped-def]
    with sandbox.start(tmp_path, settings=Settings(dialect="forge", api_auth="me:pass:word")) as running:
        yield running


def test_one_server_is_held_to_its_own_dialect(forge: sandbox.RunningServer) -> None:
    given = ("--a1111-url", forge.url, "--a1111-user", "me", "--a1111-password-env", "SECRET")
    code, output = contract(*given, SECRET="pass:word")
    assert code == 0, output
    assert "skipped" not in output.lower()
    assert "workers" not in output, "two workers would disturb each other"
    lines = (forge.home / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
    assert 1 <= len(lines) <= 4, "this server was drawn on, and no more than needed"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--a1111-user", "me"], "belong to --a1111-url"),
        (["--a1111-url", "http://127.0.0.1:9"], "No A1111 at http://127.0.0.1:9"),
        (["--a1111-url", "http://127.0.0.1:9", "--a1111-password-env", "NO_SUCH"], "there is no variable NO_SUCH"),
    ],
)
def test_what_cannot_be_tested_says_so_once(arguments: list[str], why: str) -> None:
    code, output = contract(*arguments)
    assert code == pytest.ExitCode.USAGE_ERROR, output
    assert output.count(why) == 1, output
