"""One command at a time starts a training; only the mark of a dead one is broken, only our own is removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator import processes
from orchestrator.errors import WorkspaceError
from orchestrator.training import start_mark
from orchestrator.training.start_mark import MARK_NAME, starting


def test_a_living_holder_keeps_its_mark_however_long_it_takes(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_mark, "_START_WAIT_S", 0.2)
    with starting(ugly_path):
        mark = (ugly_path / MARK_NAME).read_bytes()
        with pytest.raises(WorkspaceError, match=f"process {os.getpid()}"), starting(ugly_path):
            pytest.fail("both were let in")
        assert (ugly_path / MARK_NAME).read_bytes() == mark
    assert not list(ugly_path.iterdir())


def test_only_our_own_mark_is_removed(ugly_path: Path) -> None:
    theirs = json.dumps([1, 0.0, "theirs"])
    with starting(ugly_path):
        (ugly_path / MARK_NAME).write_text(theirs, encoding="utf-8")
    assert (ugly_path / MARK_NAME).read_text(encoding="utf-8") == theirs


@pytest.mark.parametrize("left", ["dead", "empty"])
def test_the_mark_of_a_dead_command_is_broken(ugly_path: Path, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_mark, "_EMPTY_MARK_S", 0.2)
    gone = processes.own_identity()
    text = json.dumps([gone.pid, gone.created - 3600]) if left == "dead" else ""
    (ugly_path / MARK_NAME).write_text(text, encoding="utf-8")
    with starting(ugly_path):
        assert json.loads((ugly_path / MARK_NAME).read_text(encoding="utf-8"))[0] == os.getpid()
    assert not list(ugly_path.iterdir())
