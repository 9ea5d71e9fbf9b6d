"""The queue's commands: adding, looking, steering, taking it elsewhere, being told."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.__main__ import main
from orchestrator.cli.queue_add import parse_at
from orchestrator.cli.queue_shown import columns
from orchestrator.doctor import machine
from orchestrator.errors import InputError
from orchestrator.jobs.control import Control
from orchestrator.jobs.model import Failure, Job, NewJob
from orchestrator.jobs.store import Store
from orchestrator.night import frozen
from orchestrator.night.session import BEGAN, Session
from orchestrator.settings import Settings, load_settings
from tests.integration.queue_night import Night
from tests.integration.test_notify import Receiver, receiver

__all__ = ["receiver"]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def night(ugly_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    made = Night(ugly_path, NOBODY)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ugly_path)
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    found = main(["queue", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert found == code, captured.err
    return captured.out + captured.err


def test_a_whole_run_is_a_chain_of_jobs_that_wait_for_each_other(
    capsys: pytest.CaptureFixture[str], night: Night
) -> None:
    run(capsys, "add", "run", "--window", "mon-fri 23:00-07:00; weekend 00:00-24:00", "--priority", 3)
    with Store() as store:
        jobs = store.open_jobs()
        payload = store.payload(jobs[0].id)[1]
    assert [(job.kind, job.needs) for job in jobs] == [
        ("train", ()),
        ("deploy", (1,)),
        ("grid", (2,)),
        ("report", (3,)),
    ]
    assert len({job.chain for job in jobs}) == 1 and jobs[0].chain
    assert [job.needs_card for job in jobs] == [True, False, True, False]
    assert all(job.priority == 3 and "weekend" in job.window for job in jobs)
    assert payload["profile"] == night.root.joinpath("lora.toml").read_text(encoding="utf-8")
    assert re.fullmatch("[0-9a-f]{64}", payload["dataset_sha256"]) or payload["dataset_sha256"] == ""
    assert payload["settings"]["kohya_folder"]


def test_what_may_hold_a_password_is_not_frozen_and_read_when_the_job_runs(
    capsys: pytest.CaptureFixture[str], night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [sys.executable, "--api-auth", "me:hunter2"]
    monkeypatch.setenv("ORCHESTRATOR_A1111_COMMAND", json.dumps(words))
    monkeypatch.setenv("ORCHESTRATOR_A1111_PASSWORD", "hunter3")
    monkeypatch.setenv("ORCHESTRATOR_CARD_IN_USE_GB", "7")
    said = run(capsys, "add", "report") + run(capsys, "show", 1, "--json") + run(capsys, "export")
    assert "hunter" not in said and "hunter" not in night.ledger.read_bytes().decode("utf-8", "replace")
    with Store() as store:
        settings = frozen.read(*store.payload(1)).settings
    assert list(settings.a1111_command) == words and settings.a1111_password.get_secret_value() == "hunter3"
    assert settings.card_in_use_gb == 7 and settings.kohya_folder


def test_what_would_fail_at_night_is_said_when_it_is_added(capsys: pytest.CaptureFixture[str], night: Night) -> None:
    assert "never opens" in run(capsys, "add", "train", "--window", "07:00-07:00", code=3)
    assert "someday" in run(capsys, "add", "train", "--window", "someday 23:00-07:00", code=3)
    assert "no job 1 " in run(capsys, "add", "grid", "--after", 1, code=3), "its own number to be"
    assert "no job 99" in run(capsys, "add", "grid", "--after", 99, code=3)
    assert "'hands'" in run(capsys, "add", "grid", "hands", code=3)
    assert "takes no names" in run(capsys, "add", "report", "faces", code=3)
    assert "no time" in run(capsys, "add", "train", "--at", "later", code=3)
    run(capsys, "add", "train", "--tonight", "--window", "1:00-2:00", code=2)
    assert "was not started" in run(capsys, "add", "train", "--checkpoint", "nowhere.safetensors", code=3)
    with Store() as store:
        assert store.open_jobs() == []


def test_a_dataset_that_was_changed_after_is_refused(capsys: pytest.CaptureFixture[str], night: Night) -> None:
    manifest = night.root / "dataset" / "v1" / "manifest.json"
    manifest.write_text('{"made_by": "somebody"}', encoding="utf-8")
    run(capsys, "add", "train", "--retry", 0)
    manifest.write_text('{"made_by": "somebody else"}', encoding="utf-8")
    run(capsys, "work", "--until-empty")
    assert "was changed since the job was added" in run(capsys, "show", 1)


def test_looking_and_steering(capsys: pytest.CaptureFixture[str], night: Night) -> None:
    assert "job" in run(capsys, "list")
    for _ in range(3):
        run(capsys, "add", "report")
    assert "No worker" in run(capsys, "list")
    run(capsys, "reorder", 3, "--first")
    run(capsys, "reorder", 1, "--priority", 5)
    assert "number 1 of 3" in run(capsys, "reorder", 2, "--before", 1)
    with Store() as store:
        assert [job.id for job in store.open_jobs()] == [2, 1, 3]
    run(capsys, "reorder", 1, code=2)
    run(capsys, "pause", 1)
    assert "paused" in run(capsys, "list")
    assert "nothing to pause" in run(capsys, "pause", 1, code=3)
    run(capsys, "resume", 1)
    run(capsys, "cancel", 1, 2)
    assert "nothing to cancel" in run(capsys, "cancel", 1, code=3)
    run(capsys, "retry", 2)
    run(capsys, "pause")
    assert "whole queue is paused" in run(capsys, "list")
    run(capsys, "resume")
    assert [line.split()[-1] for line in run(capsys, "log", 1).splitlines()][-1].startswith("cancelled")
    assert json.loads(run(capsys, "log", 1, "--json"))[0]["kind"] == "added"
    assert json.loads(run(capsys, "show", 2, "--json"))["payload"]["workspace"] == str(night.root)
    assert [row["job"] for row in json.loads(run(capsys, "plan", "--json"))] == [2, 3]
    assert "1 job forgotten" in run(capsys, "prune", "--older-than", 0)
    assert "no job 1" in run(capsys, "show", 1, code=3)
    run(capsys, "cancel", 2, 3)
    run(capsys, "watch", "--until-empty", "--every", 0.2)


def test_a_queue_is_taken_elsewhere_without_its_programs(
    capsys: pytest.CaptureFixture[str], night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "add", "run")
    exported = json.loads(run(capsys, "export"))
    for job in exported["jobs"]:
        job["payload"]["settings"]["a1111_command"] = ["evil"]
        job["payload"]["settings"]["kohya_python"] = "evil"
    file = tmp_path / "queue.json"
    file.write_text(json.dumps(exported), encoding="utf-8")
    monkeypatch.setenv("ORCHESTRATOR_LEDGER", str(tmp_path / "other.sqlite3"))
    assert "4 jobs added: 1 to 4" in run(capsys, "import", file)
    with Store() as store:
        assert [job.needs for job in store.open_jobs()] == [(), (1,), (2,), (3,)]
        assert all("evil" not in json.dumps(store.payload(job.id)[1]) for job in store.open_jobs())
    for wrong in ("[]", "{}", "no json", json.dumps({**exported, "format": 9}),
                  json.dumps({**exported, "jobs": [{"kind": 5}]}),
                  json.dumps({**exported, "jobs": [{**exported["jobs"][0], "needs": [7]}]})):  # fmt: skip
        file.write_text(wrong, encoding="utf-8")
        run(capsys, "import", file, code=3)


def test_times_as_people_write_them() -> None:
    now = datetime(2026, 11, 26, 22, 0).timestamp()
    assert parse_at("23:30", now) == datetime(2026, 11, 26, 23, 30).timestamp()
    assert parse_at("02:30", now) == datetime(2026, 11, 27, 2, 30).timestamp()
    assert parse_at("2026-12-24 01:00", now) == datetime(2026, 12, 24, 1, 0).timestamp()
    assert (parse_at("+2h", now) - now, parse_at("+30 min", now) - now) == (7200, 1800)
    for wrong in ("", "24:61", "+2", "tomorrow"):
        with pytest.raises(InputError):
            parse_at(wrong, now)


def test_columns_line_up_with_japanese_names_and_leave_out_what_is_empty() -> None:
    lines = columns(("job", "what", "why", "left"), [("1", "初音ミク", "", "0:10"), ("12", "rin", "", "")])
    assert lines == ["job  what      left", "  1  初音ミク  0:10", " 12  rin       -"]


def fails(job: Job, control: Control) -> dict[str, str]:
    control.say("nothing has happened for 12 min: a hung driver looks like this", "stalled")
    raise InputError("The card fell out.", fix="Put it back.")


def test_whoever_is_asleep_is_told(night: Night, receiver: Receiver) -> None:
    settings = Settings.model_validate({"notify": [f"json://{receiver.host}/", "discord://wrong"]})
    said: list[str] = []
    with Store() as store:
        store.add([NewJob("train", "train miku_v3", {}), NewJob("train", "train later", {}, at=9e9)])
    session = Session(night.ledger, settings, said.append)
    session.worker.execute = fails
    session.run("idle")
    titles = [one["title"] for one in receiver.got]
    assert sorted(titles[:2]) == ["train miku_v3 failed", "train miku_v3 stalled"]
    assert titles[2] == "Night over: 0 finished, 1 failed, 1 wait"
    message = receiver.got[2]["message"]
    assert "Failed    1 train miku_v3: The card fell out." in message and "Put it back." in message
    assert "Stalled   1 train miku_v3" in message and "Not begun 1" in message
    assert any("did not arrive: discord://…" in sentence for sentence in said), "a wrong address is told of"
    with Store() as store:
        assert store.job(1).failure == Failure("The card fell out.", "", "Put it back.")


def test_of_two_workers_the_last_one_tells_of_the_night_and_no_other(night: Night) -> None:
    told: list[list[str]] = [[], []]
    one, two = (Session(night.ledger, Settings(), said.append) for said in told)
    with Store() as store:
        store.set_fact(BEGAN, str(time.time()))
        first, second = store.add([NewJob("report", "report a", {}), NewJob("report", "report b", {})])
        for job in (first, second):
            store.claim(job, "w")
        store.finish(first, "w", {})
        assert one.close() is None and told == [[], []], "the other one is still at work"
        store.finish(second, "w", {})
    page = two.close()
    assert page is not None and "2 finished" in page.read_text(encoding="utf-8")
    assert one.close() is None
    assert [len(said) for said in told] == [0, 1]


def test_the_doctor_looks_at_the_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(machine.about_notifications(Settings())) == []
    monkeypatch.setenv("ORCHESTRATOR_NOTIFY", '["json://localhost/", "nonsense://secret"]')
    (finding,) = machine.about_notifications(load_settings())
    assert finding.level == "warning" and "nonsense://" in finding.what and "secret" not in finding.what
    assert "secret" not in repr(load_settings())


@pytest.mark.skipif(sys.platform == "win32", reason="no systemd, and no wish to write into the Task Scheduler")
def test_a_service_is_written_and_said(
    capsys: pytest.CaptureFixture[str], night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(night.root / "config"))
    shown = run(capsys, "install-service", "--print")
    assert "ExecStart" in shown or "ProgramArguments" in shown
    assert not (night.root / "config").exists()


def test_following_a_log_ends_with_the_job(capsys: pytest.CaptureFixture[str], night: Night) -> None:
    run(capsys, "add", "report", "--retry", 0)
    with night.start("log", "1", "-f") as following:
        time.sleep(0.5)
        run(capsys, "work", "--until-empty")
        out, _ = following.communicate(timeout=30)
    assert "nothing to report" in out
