"""Commands at the keyboard and the card: who has it is told, waited for on request, and never taken from a trainer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.__main__ import main
from orchestrator.a1111 import connection
from orchestrator.errors import CardTaken
from orchestrator.gpu import Holder, Lease
from orchestrator.jobs.place import state_folder
from orchestrator.kohya import install as kohya_install
from orchestrator.night import keyboard
from orchestrator.night.card import NightCard
from orchestrator.sandbox.server import RunningServer
from orchestrator.settings import Settings
from tests.integration import training_night
from tests.integration.test_cli_train import NOBODY, write_profile

NAME = "ai_model_v1"
JOB = Holder("some ledger", 3, "train other_v7", ("--config_file", "of a trainer that has not started yet"))


@pytest.fixture(scope="module")
def real_kohya(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated trainer in a folder of its own: to us, a trainer that computes on the card."""
    folder = tmp_path_factory.mktemp("kohya") / "sd-scripts"
    shutil.copytree(training_night.SANDBOX, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def workspace(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    training_night.workspace_at(ugly_path)
    write_profile(ugly_path)
    monkeypatch.chdir(ugly_path)
    monkeypatch.setattr(keyboard, "_AGAIN_S", 0.1)
    return ugly_path


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lease]:
    """The card, in the hands of a queue's worker."""
    lease = Lease(0, state_folder() / "cards")
    assert lease.take()
    lease.use(JOB)
    yield lease
    lease.release()


def orchestrator(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_training_is_refused_while_a_queue_has_the_card_and_waits_on_request(
    capsys: pytest.CaptureFixture[str], workspace: Path, real_kohya: Path, held: Lease
) -> None:
    train = ("train", "--kohya", real_kohya, "--kohya-python", sys.executable, *NOBODY)
    code, said = orchestrator(capsys, *train)
    assert code == 8
    assert "job 3 of the queue (train other_v7) has it since" in said and "--wait" in said and "queue pause 3" in said
    assert not (workspace / "runs").exists(), "something was begun"
    threading.Timer(1.0, held.release).start()
    began = time.monotonic()
    code, said = orchestrator(capsys, *train, "--wait")
    assert code == 0, said
    assert time.monotonic() - began > 0.9 and "Waiting for the graphics card: job 3" in said
    # Given back, and nothing left that would keep the next one from it; what is finished needs no card.
    assert Lease(0, held.folder).before() == Holder()
    used = [json.loads(line) for line in held.log.read_text(encoding="utf-8").splitlines()]
    assert [one["title"] for one in used if one["event"] == "used" and one["title"]][-1] == f"train {NAME}"
    assert held.take()
    held.use(JOB)
    assert orchestrator(capsys, *train)[0] == 0
    code, said = orchestrator(capsys, "runs", "resume", NAME, *NOBODY)
    assert code == 0, said


def test_a_run_that_was_stopped_is_not_resumed_on_a_taken_card(
    capsys: pytest.CaptureFixture[str], workspace: Path, real_kohya: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SANDBOX_TRAINER_FAULTS", "kill@step:14")
    write_profile(workspace, "[training.guard]\nrestarts = 0\n")
    train = ("train", "--kohya", real_kohya, "--kohya-python", sys.executable, *NOBODY)
    assert orchestrator(capsys, *train)[0] == 5
    monkeypatch.delenv("ORCHESTRATOR_SANDBOX_TRAINER_FAULTS")
    lease = Lease(0, state_folder() / "cards")
    assert lease.take()
    lease.use(JOB)
    code, said = orchestrator(capsys, "runs", "resume", NAME, *NOBODY)
    lease.release()
    assert code == 8 and "train other_v7" in said
    code, said = orchestrator(capsys, "runs", "resume", NAME, *NOBODY)
    assert code == 0, said


def test_a_simulated_training_asks_for_no_card(
    capsys: pytest.CaptureFixture[str], workspace: Path, held: Lease
) -> None:
    code, said = orchestrator(
        capsys, "train", "--kohya", training_night.SANDBOX, "--kohya-python", sys.executable, *NOBODY
    )
    assert code == 0, said


def test_a_trainer_that_outlives_its_command_keeps_the_card_and_is_adopted_by_its_own_alone(
    workspace: Path, real_kohya: Path
) -> None:
    planned = training_night.make(workspace, install=kohya_install.find(real_kohya, python=sys.executable))
    signs = ("--config_file", str(planned.config))
    cards = state_folder() / "cards"
    lease = Lease(0, cards)
    assert lease.take()
    lease.use(Holder(title=f"train {planned.name}", signs=signs))
    lease.release()  # what the system does for a command that was killed
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *signs]) as trainer:
        try:
            queue = NightCard(Lease(0, cards), "a ledger")
            assert not queue.take(), "its card is not free while it trains"
            stranger = replace(planned, folder=workspace / "runs" / "another")
            with pytest.raises(CardTaken, match=r"at the keyboard \(train ai_model_v1\)"):
                enter(stranger)
            enter(planned)  # the same command: it watches
            assert trainer.poll() is None
        finally:
            trainer.kill()
    assert queue.take()
    queue.leave()


def enter(planned: object) -> None:
    with keyboard.for_training(planned, wait=False, say=str):  # type: ignore[arg-type]
        pass


def test_a_training_on_several_cards_has_the_lease_of_each(workspace: Path, real_kohya: Path) -> None:
    planned = training_night.make(workspace, install=kohya_install.find(real_kohya, python=sys.executable))
    several = replace(planned, launch=planned.launch.model_copy(update={"gpus": (2, 1)}))
    leases = [Lease(number, state_folder() / "cards") for number in (0, 1, 2)]
    with keyboard.for_training(several, wait=False, say=str):
        assert [lease.is_taken() for lease in leases] == [False, True, True]
    assert not any(lease.is_taken() for lease in leases)
    assert leases[2].take()
    with pytest.raises(CardTaken):
        enter(several)
    assert not leases[1].is_taken(), "one card was kept though the other was not to be had"
    leases[2].release()


def test_drawing_waits_for_a_training_on_the_same_machine_alone(
    sandbox_server: RunningServer, held: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyboard, "_AGAIN_S", 0.1)
    here = Settings(a1111_url=sandbox_server.url)
    keyboard.for_drawing(here, wait=False, say=str)  # it only simulates a card
    monkeypatch.setattr(connection, "SIMULATED_HEADER", "x-no-such-header")
    keyboard.for_drawing(Settings(a1111_url="http://192.0.2.1:7860"), wait=False, say=str)
    with pytest.raises(CardTaken, match="job 3 of the queue"):
        keyboard.for_drawing(here, wait=False, say=str)
    said: list[str] = []
    threading.Timer(0.5, held.release).start()
    keyboard.for_drawing(here, wait=True, say=said.append)
    assert len(said) == 1 and "Waiting" in said[0]
    # A queue that draws, too, is no reason: A1111 lets requests wait.
    assert held.take()
    held.use(Holder("some ledger", 4, "grid other_v7"))
    keyboard.for_drawing(here, wait=False, say=str)


def test_a_drawing_command_tells_it(capsys: pytest.CaptureFixture[str], workspace: Path, held: Lease) -> None:
    code, said = orchestrator(capsys, "grid", "render", "faces", *NOBODY)
    assert code == 8 and "job 3 of the queue (train other_v7)" in said and "--wait" in said
