"""The lease between processes, and what nvidia-smi says, with a program that answers like it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import gpu
from orchestrator.gpu import CardMemory, CardUser, Holder, Lease

HOLD = """
import sys
from pathlib import Path
from orchestrator.gpu import Holder, Lease
lease = Lease(int(sys.argv[2]), Path(sys.argv[1]))
taken = lease.take()
lease.use(Holder("ledger", 7, "a training", ("--config_file", "nobody has this")))
print(taken, flush=True)
sys.stdin.readline()
"""


def hold(folder: Path, number: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_one_process_at_a_time_has_a_card_and_a_killed_one_has_it_no_more(ugly_path: Path) -> None:
    with hold(ugly_path) as child:
        assert child.stdout is not None and child.stdout.readline() == "True\n"
        mine = Lease(0, ugly_path)
        assert not mine.take()
        assert Lease(1, ugly_path).take(), "the second card is another lease"
        child.kill()
        child.wait()
        assert mine.take(5)
        assert mine.before().title == "a training"
        assert mine.before().trainer() is None
        mine.release()
        assert not mine.held
    events = [json.loads(line) for line in mine.log.read_text(encoding="utf-8").splitlines()]
    assert [(one["event"], one["pid"] == os.getpid()) for one in events] == [
        ("taken", False), ("used", False), ("taken", True), ("released", True),
    ]  # fmt: skip


def test_a_trainer_that_outlived_its_worker_is_found_by_its_note(ugly_path: Path) -> None:
    code = "import time; print('up', flush=True); time.sleep(60)"
    signs = ("--config_file", str(ugly_path / "config.toml"))
    with subprocess.Popen([sys.executable, "-c", code, *signs], stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None and trainer.stdout.readline()
        lease = Lease(0, ugly_path)
        assert lease.take()
        lease.use(Holder("ledger", 3, "train", signs))
        lease.release()
        found = Lease(0, ugly_path).before().trainer()
        assert found is not None and found.pid == trainer.pid
        trainer.kill()
        trainer.wait()
        assert Lease(0, ugly_path).before().trainer() is None


def test_a_damaged_note_is_nobody(ugly_path: Path) -> None:
    lease = Lease(0, ugly_path)
    for text in ("", "no json", "[1]", '{"signs": 5}', '{"job": 4, "unknown": 1}'):
        lease.note.write_text(text, encoding="utf-8")
        assert lease.before().trainer() is None
    assert lease.before().job == 4


def fake_smi(folder: Path, code: str) -> None:
    """An nvidia-smi in `folder` that runs `code`."""
    script = folder / "smi.py"
    script.write_text(f"import sys\narguments = ' '.join(sys.argv[1:])\n{code}", encoding="utf-8")
    if sys.platform == "win32":
        (folder / "nvidia-smi.bat").write_text(f'@"{sys.executable}" "{script}" %*\n', encoding="utf-8")
    else:
        program = folder / "nvidia-smi"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)


@pytest.mark.parametrize("code", ["sys.exit(9)", "print('garbage')", "print('[N/A], [N/A]')"])
def test_an_nvidia_smi_that_fails_says_nothing(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_smi(tmp_path, code)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert gpu.memory(0) is None
    assert gpu.users(0) == []


def test_what_nvidia_smi_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = (
        "if 'memory.total' in arguments: print('3120, 12288' if '--id=1' in arguments else '11, 8192')\n"
        "elif 'compute-apps' in arguments: print('4711, /usr/bin/python3, 2900\\n99, C:\\\\a.exe, [N/A]')\n"
        "else: print('0\\n1')\n"
    )
    fake_smi(tmp_path, answers)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert gpu.count() == 2
    assert gpu.memory(1) == CardMemory(3120 << 20, 12288 << 20)
    assert gpu.users(0) == [CardUser(4711, "/usr/bin/python3", 2900 << 20), CardUser(99, "C:\\a.exe", None)]


def test_without_nvidia_smi_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.memory(0) is None and gpu.count() is None
    assert gpu.find_smi({"PATH": "", "SystemRoot": str(tmp_path)}, "win32") is None
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvidia-smi.exe").write_bytes(b"")
    assert str(gpu.find_smi({"PATH": "", "SystemRoot": str(tmp_path)}, "win32")).endswith("nvidia-smi.exe")


def test_a_chosen_card_is_the_only_one_children_see() -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "0,1"}
    gpu.choose(1, environment)
    assert environment == {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
