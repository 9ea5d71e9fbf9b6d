"""Children that outlive us: started, found again, stopped with everything they started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator import processes
from orchestrator.errors import InstallError
from orchestrator.processes import ProcessId

SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    + ("print(child.pid, flush=True)\ntime.sleep(60)")
)


def _said(log: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if text := log.read_text(encoding="utf-8"):
            return text
        time.sleep(0.02)
    raise AssertionError("it said nothing")


def _start(code: str, log: Path) -> processes.Child:
    return processes.start([sys.executable, "-c", code], folder=log.parent, environment=_environment(), log=log)


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_output_goes_to_the_file_and_the_end_is_told(ugly_path: Path) -> None:
    child = _start("import sys; print('hello'); print('world', file=sys.stderr); sys.exit(3)", ugly_path / "log.txt")
    child.popen.wait(60)
    assert child.exit_code == 3
    assert sorted((ugly_path / "log.txt").read_text(encoding="utf-8").split()) == ["hello", "world"]
    assert not processes.is_running(child.identity)


def test_a_whole_family_is_stopped(tmp_path: Path) -> None:
    child = _start(PARENT, tmp_path / "log.txt")
    grandchild = psutil.Process(int(_said(tmp_path / "log.txt")))
    assert processes.is_running(child.identity)
    assert processes.stop_tree(child.identity, grace_s=5)
    child.let_go()
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE
    assert not processes.is_running(child.identity)
    assert processes.stop_tree(child.identity)  # twice does no harm


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no polite word to ignore")
def test_one_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    child = _start(deaf, tmp_path / "log.txt")
    _said(tmp_path / "log.txt")
    assert processes.stop_tree(child.identity, grace_s=0.3)
    child.let_go()


def test_a_child_that_was_stopped_still_tells_how_it_ended(tmp_path: Path) -> None:
    child = _start(SLEEP, tmp_path / "log.txt")
    _said(tmp_path / "log.txt")
    assert processes.stop_tree(child.identity)
    assert child.exit_code is not None and abs(child.exit_code) == signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no dead processes that wait for their parent")
def test_a_dead_one_whose_parent_never_asks_is_not_waited_for(tmp_path: Path) -> None:
    parent = _start(PARENT, tmp_path / "log.txt")
    orphan = int(_said(tmp_path / "log.txt"))
    assert processes.stop_tree(ProcessId(orphan, psutil.Process(orphan).create_time()), grace_s=60)
    assert psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE
    assert processes.stop_tree(parent.identity) and parent.exit_code is not None


def test_a_number_given_again_is_another_process(tmp_path: Path) -> None:
    child = _start(SLEEP, tmp_path / "log.txt")
    _said(tmp_path / "log.txt")
    other = ProcessId(child.identity.pid, child.identity.created - 60)
    assert not processes.is_running(other)
    assert processes.stop_tree(other) and processes.is_running(child.identity)
    assert processes.stop_tree(child.identity)
    child.let_go()


def test_it_is_found_by_a_word_of_its_command_line(ugly_path: Path) -> None:
    mark = str(ugly_path / "config.toml")
    assert processes.find(mark) is None
    child = processes.start(
        [sys.executable, "-c", SLEEP, mark], folder=ugly_path, environment=_environment(), log=ugly_path / "log.txt"
    )
    _said(ugly_path / "log.txt")
    found = processes.find(mark)
    assert found is not None and found.pid == child.identity.pid
    assert processes.find(mark, "--config_file") is None  # an editor that has the file open is no trainer
    assert processes.stop_tree(found)
    child.let_go()


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="could not be started"):
        processes.start([str(tmp_path / "no python")], folder=tmp_path, environment={}, log=tmp_path / "log.txt")


def test_both_platforms_start_it_out_of_reach_of_our_ctrl_c() -> None:
    assert processes.start_options("linux") == processes.start_options("darwin") == ({"start_new_session": True},)
    for way in processes.start_options("win32"):
        flags = processes.CREATE_NEW_PROCESS_GROUP | processes.CREATE_NO_WINDOW
        assert way["creationflags"] & flags == flags
    for name in ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW", "CREATE_BREAKAWAY_FROM_JOB"):
        # the values, where Python knows them
        assert getattr(subprocess, name, getattr(processes, name)) == getattr(processes, name)


def test_on_windows_it_leaves_our_job_where_the_job_allows_it() -> None:
    """A terminal's job ends all that is in it with the terminal; some jobs forbid leaving."""
    free, held = processes.start_options("win32")
    assert free["creationflags"] & processes.CREATE_BREAKAWAY_FROM_JOB
    assert not held["creationflags"] & processes.CREATE_BREAKAWAY_FROM_JOB
    tried: list[int] = []

    def spawn(options: Mapping[str, Any], refused: int = processes.CREATE_BREAKAWAY_FROM_JOB) -> Any:
        tried.append(options["creationflags"])
        if options["creationflags"] & refused:
            raise _windows_error(5)
        return "child"

    assert processes.first_allowed(spawn, (free, held)) == "child"
    assert tried == [free["creationflags"], held["creationflags"]]
    with pytest.raises(OSError, match="error 2"):  # another refusal is no reason to try again
        processes.first_allowed(lambda _: _raise(_windows_error(2)), (free, held))
    with pytest.raises(OSError, match="error 5"):
        processes.first_allowed(lambda _: _raise(_windows_error(5)), (free, held))


def _windows_error(number: int) -> OSError:
    error = OSError(f"error {number}")
    error.winerror = number  # type: ignore[attr-defined,unused-ignore]
    return error


def _raise(error: Exception) -> Any:
    raise error


def test_what_a_process_does_is_seen_with_its_children(tmp_path: Path) -> None:
    busy = "while True: pass"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {busy!r}])\n"
    code += "print('ready', flush=True); time.sleep(60)"
    child = _start(code, tmp_path / "log.txt")
    _said(tmp_path / "log.txt")
    before = processes.activity(child.identity)
    assert before is not None and before.children == 1 and before.status == "sleeping"
    deadline = time.monotonic() + 20
    while (now := processes.activity(child.identity)) is not None and now.cpu_s < before.cpu_s + 0.1:
        assert time.monotonic() < deadline, "the child's computing was not seen"
        time.sleep(0.05)
    assert processes.stop_tree(child.identity)
    child.let_go()
    assert processes.activity(child.identity) is None


def test_the_orphans_of_a_killed_launcher_are_found_and_ended(ugly_path: Path) -> None:
    mark = str(ugly_path / "config.toml")
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}, sys.argv[1]])\n"
    code += "time.sleep(60)"
    child = processes.start(
        [sys.executable, "-c", code, mark], folder=ugly_path, environment=_environment(), log=ugly_path / "log.txt"
    )
    _said(ugly_path / "log.txt")
    both = processes.find_all(mark)
    assert len(both) == 2 and both[0].pid == child.identity.pid
    psutil.Process(child.identity.pid).kill()
    child.popen.wait(60)
    assert processes.find_all(mark) == both[1:]
    assert processes.stop_trees(processes.find_all(mark))
    assert processes.find_all(mark) == []


WORDS = [
    (None, "linux", "ended while nobody watched"),
    (0, "linux", "ended with exit code 0"),
    (-9, "linux", "was ended by SIGKILL"),
    (-200, "linux", "was ended by signal 200"),
    (0xC0000005, "win32", "crashed (0xC0000005)"),
    (1, "win32", "ended with exit code 1"),
]


@pytest.mark.parametrize(("code", "platform", "words"), WORDS)
def test_exit_codes_in_words(code: int | None, platform: str, words: str) -> None:
    assert processes.exit_words(code, platform) == words
