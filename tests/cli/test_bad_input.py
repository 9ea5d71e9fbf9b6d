"""What a person sees when something is wrong: one sentence, what to do, an exit code, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.__main__ import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return code, captured.out, captured.err


@pytest.fixture
def workspace(ugly_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    code, out, _ = run(capsys, "init", ugly_path / "my lora", "--from", "demo")
    assert code == 0
    assert "Next:" in out
    return ugly_path / "my lora"


def test_no_workspace(capsys: pytest.CaptureFixture[str], ugly_path: Path) -> None:
    code, _, err = run(capsys, "dataset", "check", "-w", ugly_path)
    assert code == 3
    assert "is not a workspace" in err
    assert "orchestrator init NAME" in err
    assert "Log:" in err


def test_the_log_holds_the_traceback_and_no_password(
    capsys: pytest.CaptureFixture[str], ugly_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_A1111_PASSWORD", "hunter2hunter2")
    _, _, err = run(capsys, "dataset", "check", "-w", ugly_path / "hunter2hunter2")
    log = Path(err.rpartition("Log:")[2].strip())
    text = log.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "WorkspaceError" in text
    assert "hunter2hunter2" not in text


def test_a_password_in_an_address_is_not_logged(capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
    code, _, err = run(capsys, "pictures", "make", "-w", workspace, "--url", "http://bob:hunter2@127.0.0.1:7860")
    assert code == 3
    log = Path(err.rpartition("Log:")[2].strip())
    assert "hunter2" not in err + log.read_text(encoding="utf-8")


def test_the_demo_never_mixes_simulated_with_real(capsys: pytest.CaptureFixture[str], ugly_path: Path) -> None:
    code, _, err = run(capsys, "demo", "--folder", ugly_path / "demo", "--url", "http://127.0.0.1:9")
    assert code == 4
    assert "Where kohya is has not been said" in err


def test_a_second_init_changes_nothing(capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
    before = (workspace / "lora.toml").read_bytes()
    code, _, err = run(capsys, "init", workspace)
    assert code == 3
    assert "already" in err
    assert (workspace / "lora.toml").read_bytes() == before


def test_an_unknown_profile_lists_the_shipped_ones(capsys: pytest.CaptureFixture[str], ugly_path: Path) -> None:
    code, _, err = run(capsys, "init", ugly_path / "x", "--from", "artcle")
    assert code == 3
    assert "article-sd15" in err


def test_broken_toml_shows_the_line(capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
    (workspace / "lora.toml").write_text('[subject]\nname = "x\n', encoding="utf-8")
    code, _, err = run(capsys, "dataset", "check", "-w", workspace)
    assert code == 3
    assert "line 2" in err


def test_a_refused_connection(capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
    code, _, err = run(capsys, "pictures", "make", "-w", workspace, "--url", "http://127.0.0.1:9")
    assert code == 4
    assert "No A1111 at http://127.0.0.1:9." in err
    assert "--api" in err


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://me:pw@127.0.0.1:7860", "not an address"])
def test_a_wrong_address(capsys: pytest.CaptureFixture[str], workspace: Path, url: str) -> None:
    code, _, err = run(capsys, "pictures", "make", "-w", workspace, "--url", url)
    assert code == 3
    assert "a1111_url" in err
    assert "me:pw" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("train",), 4, "Where kohya is has not been said"),
        (("train", "--kohya", "/nowhere/kohya_ss"), 4, "/nowhere/kohya_ss"),
        (("dataset", "build"), 3, 'pictures make "close-up varied"'),
        (("dataset", "check"), 3, 'pictures make "close-up varied"'),
        (("runs", "show", "v9"), 3, "no run 'v9'"),
        (("lora", "list"), 3, "orchestrator train"),
        (("report",), 3, "nothing to report"),
        (("pictures", "straighten", "gone.png"), 3, "gone.png"),
        (("lora", "show", "gone.safetensors"), 3, "gone.safetensors"),
    ],
)
def test_what_is_missing_is_named(
    capsys: pytest.CaptureFixture[str],
    workspace: Path,
    arguments: tuple[str, ...],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workspace)
    got, _, err = run(capsys, *arguments)
    assert says in err
    assert got == code


def test_a_picture_that_is_none(
    capsys: pytest.CaptureFixture[str], ugly_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ugly_path)
    Path("a.png").write_text("no picture", encoding="utf-8")
    code, _, err = run(capsys, "pictures", "straighten", "a.png", "--angle", "5")
    assert code == 3
    assert "not a picture" in err
    assert not Path("straight").exists() or not list(Path("straight").iterdir())


@pytest.mark.parametrize("arguments", [("nonsense",), ("grid", "nonsense"), ("init",), ("demo", "--world", "flat")])
def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "Error" in err


def test_a_defect_of_ours_is_called_so(
    capsys: pytest.CaptureFixture[str], ugly_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator import workspace

    monkeypatch.setattr(workspace, "find_workspace", lambda start: 1 / 0)
    code, _, err = run(capsys, "dataset", "check", "-w", ugly_path)
    assert code == 1
    assert "defect of ours" in err


def test_a_console_without_unicode_does_not_end_the_run(ugly_path: Path) -> None:
    import os
    import subprocess
    import sys

    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "init", str(ugly_path / "ミク")],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Made" in done.stdout
