"""One command at a time starts a training; only the mark of a dead one is broken, only our own is removed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("method", ["open", "unlink", "read_text"])
def test_a_moments_refusal_of_windows_is_waited_out(
    ugly_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is being removed may not be opened there, and one that is just read may not be removed."""
    real, refusals = getattr(Path, method), [PermissionError(13, "Access is denied")] * 2

    def sometimes(path: Path, *args: Any, **named: Any) -> Any:
        if refusals and path.name == MARK_NAME:
            raise refusals.pop()
        return real(path, *args, **named)

    monkeypatch.setattr(Path, method, sometimes)
    with starting(ugly_path):
        assert (ugly_path / MARK_NAME).exists()
    assert not refusals
    assert not list(ugly_path.iterdir())


@pytest.mark.parametrize("room_for_the_name", [True, False])
def test_a_full_disk_keeps_nobody_from_ending_a_training(
    ugly_path: Path, room_for_the_name: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(path: Path, *args: Any, **named: Any) -> Any:
        if path.name == MARK_NAME and args == ("x",):
            if room_for_the_name:
                real(path, "x").close()
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **named)

    monkeypatch.setattr(Path, "open", full)
    with starting(ugly_path):
        assert (ugly_path / MARK_NAME).exists() == room_for_the_name
    assert not list(ugly_path.iterdir())


def test_a_mark_that_cannot_be_removed_ends_nothing(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(start_mark, "_REFUSED_S", 0.1)
    with starting(ugly_path):
        pass
    assert (ugly_path / MARK_NAME).exists()


@pytest.mark.parametrize("left", ["dead", "empty"])
def test_the_mark_of_a_dead_command_is_broken(ugly_path: Path, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_mark, "_EMPTY_MARK_S", 0.2)
    gone = processes.own_identity()
    text = json.dumps([gone.pid, gone.created - 3600]) if left == "dead" else ""
    (ugly_path / MARK_NAME).write_text(text, encoding="utf-8")
    with starting(ugly_path):
        assert json.loads((ugly_path / MARK_NAME).read_text(encoding="utf-8"))[0] == os.getpid()
    assert not list(ugly_path.iterdir())
