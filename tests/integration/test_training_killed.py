"""Killed twenty times the hard way, at random moments: our command, the trainer, both. It is finished all the same."""

from __future__ import annotations

import random
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors import safe_open

from orchestrator.files import sha256_file
from orchestrator.training.plan import TrainingPlanned
from orchestrator.training.record import RunRecord, read_record
from tests.integration.training_night import make, ours, slow, trainers, wait_for

#: In random order, but the last leaves nothing alive, so that the rest need not be slow.
KILLS = {"ours": 7, "trainer": 7, "both": 5}
EPOCHS = 30
#: What the trainer says once a state is complete.
_STATE = re.compile(r"Random states saved in \S.*?-(\d{6})-state")


def test_twenty_kills_at_random_moments_and_it_is_finished(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, 0.04)
    # A pause in the middle of every file, so that many kills hit a save.
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_TRAINER_FAULTS", "slow-save:0.04")
    plan_ = make(ugly_path, epochs=EPOCHS, save_every=1)
    chance = random.Random(20261126)
    command: subprocess.Popen[bytes] | None = None
    starts = 1
    # The next command loads while the one before is at work.
    spare = ours(plan_, ugly_path / "said-1.txt", ready=True)
    kinds = [kind for kind, count in KILLS.items() for _ in range(count)]
    chance.shuffle(kinds)
    for kind in [*kinds, "both"]:
        hit = False
        while not hit:  # a kill counts when all it was meant for lived
            if command is None or command.poll() is not None:
                said, command = ugly_path / f"said-{starts}.txt", spare
                slow(monkeypatch, 0.15)  # a trainer that lives is not to get far meanwhile, however long that takes
                _go(command)
                starts += 1
                spare = ours(plan_, ugly_path / f"said-{starts}.txt", ready=True)
                wait_for(lambda said=said: "Started" in said.read_text(encoding="utf-8"), "a start")  # type: ignore[misc]
                slow(monkeypatch, 0.04)
            time.sleep(chance.uniform(0.0, 1.2))
            hit = _kill(plan_, command, kind)
        if kind != "trainer" and command is not None:
            command.wait()
    spare.communicate(timeout=60)  # not needed any more
    slow(monkeypatch, 0.001)
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_TRAINER_FAULTS", "")
    before = read_record(plan_.folder)
    assert before is not None and before.status == "running", "it was finished before the last kill: nothing was tried"
    last = ours(plan_, ugly_path / "said-last.txt")
    assert last.wait(60) == 0, (ugly_path / "said-last.txt").read_text(encoding="utf-8")
    record = read_record(plan_.folder)
    assert record is not None and record.status == "finished"
    _check_files(plan_, record)
    _check_attempts(plan_, record)
    assert not trainers(plan_)
    heard = [said.read_text(encoding="utf-8") for said in ugly_path.glob("said-*.txt")]
    assert any("Restarted" in text for text in heard), "a killed trainer was never started again without a command"


def _go(command: subprocess.Popen[bytes]) -> None:
    assert command.stdin is not None
    command.stdin.write(b"\n")
    command.stdin.close()


def _kill(plan_: TrainingPlanned, command: subprocess.Popen[bytes], kind: str) -> bool:
    """Kill what `kind` says; False when not all of it lived."""
    living = trainers(plan_)
    assert len(living) <= 1, "two trainers worked in one folder"
    if command.poll() is not None or not living:
        return False
    if kind != "trainer":
        command.kill()
    if kind != "ours":
        try:
            psutil.Process(living[0].pid).kill()
        except psutil.NoSuchProcess:
            return False
    return True


def _check_files(plan_: TrainingPlanned, record: RunRecord) -> None:
    names = [f"ai_model_v1-{epoch:06d}.safetensors" for epoch in range(1, EPOCHS)] + ["ai_model_v1.safetensors"]
    assert sorted(path.name for path in plan_.output_folder.glob("*.safetensors")) == sorted(names)
    assert [(file.file, file.epoch) for file in record.files] == list(zip(names, range(1, EPOCHS + 1), strict=True))
    for file in record.files:
        path = plan_.output_folder / file.file
        assert (file.size, file.sha256) == (path.stat().st_size, sha256_file(path))
        with safe_open(path, framework="np") as opened:  # the library's own reader refuses one that was cut off
            assert opened.metadata()["ss_epoch"] == str(file.epoch)
            assert all(np.isfinite(opened.get_tensor(name)).all() for name in opened.keys())  # noqa: SIM118


def _check_attempts(plan_: TrainingPlanned, record: RunRecord) -> None:
    assert record.losses.keys() == set(range(1, EPOCHS + 1))
    assert record.proof and record.seconds > 0
    assert all(attempt.ended_at is not None for attempt in record.attempts)
    newest = 0
    seen: set[int] = set()
    for attempt in record.attempts:
        # Nothing that a state was saved of is trained again. Killed between the last byte and the word of it, a state
        # may be one newer than what was said.
        assert attempt.resumed_from in {newest, newest + 1}
        newest = attempt.resumed_from
        text = (plan_.folder / attempt.log).read_text(encoding="utf-8")
        begun = [int(epoch) for epoch in re.findall(rf"^epoch (\d+)/{EPOCHS}\s*$", text, re.MULTILINE)]
        assert begun == list(range(newest + 1, newest + 1 + len(begun)))
        assert attempt.kind == ("state" if attempt.resumed_from else "new")
        seen |= set(begun)
        newest = max([newest, *map(int, _STATE.findall(text))])
    assert seen == set(range(1, EPOCHS + 1))
