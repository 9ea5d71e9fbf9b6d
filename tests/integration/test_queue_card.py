"""The card between A1111 and a trainer: given up and measured, stopped where it is not given up, always given back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import processes
from orchestrator.a1111.client import A1111
from orchestrator.a1111.connection import port_is_open
from orchestrator.gpu import Holder, Lease
from orchestrator.jobs.control import CardBusy
from orchestrator.jobs.model import NewJob
from orchestrator.jobs.place import state_folder
from orchestrator.jobs.store import Store
from orchestrator.jobs.worker import Worker
from orchestrator.night import power
from orchestrator.night.card import NightCard
from orchestrator.night.session import Session
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings as Sandbox
from orchestrator.settings import Settings, load_settings
from tests.integration.test_gpu_lease import fake_smi

GB = 1 << 30
TRAINS = Holder("ledger", 1, "train", ("--config_file", "a trainer that does not run"))
DRAWS = Holder("ledger", 2, "grid")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sandbox.RunningServer]:
    settings = Sandbox(vram_gb=8, painter="plain", gpu_seconds_per_picture=1.0)
    with sandbox.start(tmp_path_factory.mktemp("home"), settings=settings) as running:
        with A1111(running.url) as client:
            client.reload_checkpoint()
        yield running


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def card(ugly_path: Path, said: list[str]) -> Iterator[NightCard]:
    made = NightCard(Lease(0, ugly_path / "cards"), "ledger", said.append, free_within_s=1.0)
    assert made.take()
    yield made
    made.leave()


def kept(url: str) -> float:
    with A1111(url) as client:
        return client.memory().cuda.reserved["current"] / GB


def test_memory_is_given_up_before_a_training_and_given_back_after_the_last(
    card: NightCard, server: sandbox.RunningServer, said: list[str]
) -> None:
    settings = Settings(a1111_url=server.url)
    assert kept(server.url) > 1
    card.for_training(settings, TRAINS)
    assert kept(server.url) < 1
    card.training_ended()
    card.for_training(settings, TRAINS)  # nothing is handed over between two trainings
    assert kept(server.url) < 1
    assert json.loads(card.note.read_text(encoding="utf-8"))["unloaded"] == [server.url]
    card.for_drawing(settings, DRAWS)
    assert kept(server.url) > 1
    assert not card.note.exists()
    card.for_training(settings, TRAINS)
    card.leave()
    assert kept(server.url) > 1
    assert said == []


def test_it_is_given_back_after_a_crash_by_whoever_comes_next(
    card: NightCard, server: sandbox.RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.for_training(Settings(a1111_url=server.url), TRAINS)
    card.lease.release()  # what the system does for a process that was killed
    assert kept(server.url) < 1
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", server.url)
    after = NightCard(Lease(0, card.lease.folder), "ledger", free_within_s=1.0)
    assert after.take()
    after.leave()
    assert kept(server.url) > 1
    assert not after.note.exists()


def test_a_server_that_draws_for_its_owner_is_not_touched(card: NightCard, server: sandbox.RunningServer) -> None:
    answered = []

    def owner() -> None:
        with A1111(server.url) as client:
            answered.append(client.txt2img({"prompt": "mine", "steps": 4, "width": 64, "height": 64, "n_iter": 60}))

    drawing = threading.Thread(target=owner)  # a minute of work: it outlasts the looks on a busy machine too
    drawing.start()
    with A1111(server.url) as client:
        while not client.progress().state.job_count:
            time.sleep(0.01)
        for ask in (card.for_training, card.for_drawing):
            with pytest.raises(CardBusy, match="somebody else"):
                ask(Settings(a1111_url=server.url), TRAINS)
        assert not client.progress().state.interrupted
        client.interrupt()  # its owner has enough
    drawing.join()
    assert answered[0].pictures
    assert not card.note.exists()
    card.for_training(Settings(a1111_url=server.url), TRAINS)


def test_a_card_that_another_program_fills_is_waited_for(
    card: NightCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = "print('6000, 8192' if 'memory.total' in arguments else '77, C:\\\\game.exe, 5800')"
    fake_smi(tmp_path, answers)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    nobody = "http://127.0.0.1:9"
    with pytest.raises(CardBusy, match=r"game\.exe holds 5\.9 GB"):
        card.for_training(Settings(a1111_url=nobody), TRAINS)
    card.for_training(Settings(a1111_url=nobody, card_in_use_gb=7), TRAINS)


def test_a_webui_that_keeps_its_memory_and_is_not_ours_is_told_of(
    card: NightCard, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "forge").mkdir()
    with sandbox.start(tmp_path / "forge", settings=Sandbox(vram_gb=8, keeps_memory=True, dialect="forge")) as forge:
        with A1111(forge.url) as client:
            client.reload_checkpoint()
        card.for_training(Settings(a1111_url=forge.url), TRAINS)
        assert forge.running()
    assert "a1111_command" in " ".join(said)


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def managed(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Settings]:
    """Settings with a webui that is ours to start, that keeps its memory whatever it is asked."""
    home = ugly_path / "forge"
    home.mkdir()
    port = free_port()
    words = [
        sys.executable, "-m", "orchestrator.sandbox.server", "--home", str(home), "--port", str(port), "--vram-gb=8",
        "--keeps-memory", "--painter=plain",
    ]  # fmt: skip
    monkeypatch.setenv("ORCHESTRATOR_A1111_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("ORCHESTRATOR_A1111_COMMAND", json.dumps(words))
    monkeypatch.setenv("ORCHESTRATOR_A1111_FOLDER", str(Path(sandbox.__file__).parents[2]))
    return load_settings


def test_a_webui_of_ours_that_keeps_its_memory_is_stopped_and_started_again(
    card: NightCard, managed: Callable[[], Settings], said: list[str]
) -> None:
    settings = managed()
    webui = card.for_drawing(settings, DRAWS)
    assert webui is not None and webui.child is not None
    first = webui.child.identity
    with A1111(settings.a1111_url) as client:
        client.reload_checkpoint()
    card.for_training(settings, TRAINS)
    assert not processes.is_running(first) and not port_is_open(settings.a1111_url)
    assert any("it is stopped" in sentence for sentence in said)
    webui = card.for_drawing(settings, DRAWS)
    assert webui is not None and webui.child is not None and webui.child.identity != first
    card.leave()
    assert not port_is_open(settings.a1111_url), "a webui that was started for the night is left running"


def test_a_webui_of_a_worker_that_was_killed_is_still_ours(card: NightCard, managed: Callable[[], Settings]) -> None:
    settings = managed()
    webui = card.for_drawing(settings, DRAWS)
    assert webui is not None and webui.child is not None
    with A1111(settings.a1111_url) as client:
        client.reload_checkpoint()
    identity = webui.child.identity
    card.lease.release()
    after = NightCard(Lease(0, card.lease.folder), "ledger", free_within_s=0.5)
    assert after.take()
    after.for_training(settings, TRAINS)
    webui.child.popen.wait(60)
    assert not processes.is_running(identity)
    after.leave()


def test_the_trainer_of_a_job_that_was_cancelled_after_its_worker_died_is_ended(
    card: NightCard, ugly_path: Path
) -> None:
    """Though no job waits that needs the card."""
    path = ugly_path / "ledger.sqlite3"
    card.ledger = str(path)
    signs = ("--config_file", str(ugly_path / "config.toml"))
    with Store(path) as store:
        (one,) = store.add([NewJob("train", "a job", {}, needs_card=True)])
        store.set_state(one, "waiting", "cancelled")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *signs]) as trainer:
        card.lease.use(Holder(str(path), one, "train v1", signs))
        card.lease.release()
        Worker(path, lambda job, control: {}, card).run("idle")
        assert trainer.wait(60)
    assert card.lease.before() == Holder() and not card.lease.is_taken()


def test_the_machine_stays_on_while_somebody_trains(card: NightCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(card.lease.folder.parent))
    monkeypatch.setattr(power, "_run", lambda command: pytest.fail(f"{command} was run"))
    said: list[str] = []
    ledger = card.lease.folder.parent / "ledger.sqlite3"
    theirs = Lease(3, state_folder() / "cards")
    assert theirs.take()
    Session(ledger, Settings(when_done="shutdown"), said.append)._wind_down()
    theirs.release()
    assert "graphics card 3" in said[0] and "stays on" in said[0]


def test_a_trainer_without_a_job_is_ended(card: NightCard, ugly_path: Path, said: list[str]) -> None:
    signs = ("--config_file", str(ugly_path / "config.toml"))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *signs]) as trainer:
        card.lease.use(Holder("ledger", 5, "train v1", signs))
        assert card.survivor() == 5
        stranger = NightCard(Lease(0, card.lease.folder), "another ledger")
        card.lease.release()
        assert not stranger.take(), "its card is not free while it trains"
        assert card.take()
        card.end_survivor()
        trainer.wait(60)
    assert card.survivor() is None
    assert "v1" in said[0]


def test_a_training_on_several_cards_has_all_of_them_or_none(
    card: NightCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = Settings(a1111_url="http://127.0.0.1:9")
    first, second = Lease(1, card.lease.folder), Lease(2, card.lease.folder)
    card.for_training(nobody, TRAINS, gpus=(0, 1, 2))
    assert first.is_taken() and second.is_taken()
    assert first.before().title == second.before().title == "train", "nobody could tell what to look for"
    card.training_ended()
    assert not first.is_taken() and not second.is_taken()
    assert second.take()
    with pytest.raises(CardBusy, match="graphics card 2"):
        card.for_training(nobody, TRAINS, gpus=(0, 1, 2))
    assert not first.is_taken()
    second.release()
    # A trainer that outlived another queue's worker has its second card still.
    signs = ("--config_file", str(tmp_path / "config.toml"))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *signs]) as trainer:
        assert first.take()
        first.use(Holder("another ledger", 5, "train v1", signs))
        first.release()
        with pytest.raises(CardBusy, match="graphics card 1"):
            card.for_training(nobody, TRAINS, gpus=(0, 1))
        trainer.kill()
    fake_smi(tmp_path, "print('6000, 8192' if '--id=1' in arguments else '77, C:\\\\game.exe, 5800')")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CardBusy, match=r"graphics card 1, where 5\.9 GB are in use"):
        card.for_training(nobody, TRAINS, gpus=(1,))
