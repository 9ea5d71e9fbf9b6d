"""Everything answers without mediapipe and dlib, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_vision_pixels import scene

from orchestrator.vision import backend, measure, measuring, status


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_package_folder", lambda name: None)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "it's 写真 1.png"
    scene().save(path)
    return path


@pytest.mark.usefixtures("nothing_installed")
def test_status_says_what_to_install() -> None:
    assert not status().available
    assert "pip install -e '.[vision]'" in status().advice


@pytest.mark.usefixtures("nothing_installed")
def test_what_needs_no_face_is_measured(picture: Path, tmp_path: Path) -> None:
    (measured,) = measure([picture], tmp_path / "cache")
    assert (measured.width, measured.height) == (320, 320)
    assert measured.sharpness > 0
    assert measured.face is None and measured.identity is None
    assert measured.missing == "not measured: pip install -e '.[vision]'"
    assert not measured.looked


@pytest.mark.usefixtures("nothing_installed")
def test_a_picture_measured_without_faces_is_measured_again_when_they_can_be(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure([picture], tmp_path / "cache")
    asked: list[Path] = []

    def everything_new(paths: list[Path], workers: int | None):  # type: ignore[no-untyped-def]
        asked.extend(paths)
        yield from ()

    monkeypatch.setattr(backend, "installed", lambda: backend.FACE_MESH)
    monkeypatch.setattr(measuring.workers, "measured", everything_new)
    with pytest.raises(KeyError):
        measure([picture], tmp_path / "cache")
    assert asked == [picture]


@pytest.mark.usefixtures("nothing_installed")
def test_files_that_are_no_pictures_are_said_to_be_unreadable(picture: Path, tmp_path: Path) -> None:
    text, cut = tmp_path / "notes.png", tmp_path / "cut.png"
    text.write_text("no picture", encoding="utf-8")
    cut.write_bytes(picture.read_bytes()[:2000])
    found = measure([text, picture, cut, tmp_path / "absent.png"], tmp_path / "cache")
    assert [one.readable for one in found] == [False, True, False, False]
    assert all(one.missing.startswith("unreadable: ") for one in found if not one.readable)
    assert found[0].missing == "unreadable: it is not a picture in a format we know"


@pytest.mark.usefixtures("nothing_installed")
def test_every_path_is_reported_once_and_the_order_is_kept(picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.png"
    scene(3).save(other)
    reported: list[Path] = []
    found = measure([other, picture, other], tmp_path / "cache", on_measured=lambda path, _: reported.append(path))
    assert sorted(reported) == sorted([other, picture])
    assert found[0] == found[2] != found[1]


def test_a_face_model_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.errors import MissingExtra
    from orchestrator.vision import model_file

    monkeypatch.setenv("ORCHESTRATOR_FACE_MODEL", str(tmp_path / "absent.task"))
    with pytest.raises(MissingExtra, match="not measured") as raised:
        model_file.fetch()
    assert "there is no such file" in raised.value.cause
    assert "ORCHESTRATOR_FACE_MODEL" in raised.value.fix
