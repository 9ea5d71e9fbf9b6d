"""The measuring processes on real pictures: the simulated portraits, whose angles are known."""

from __future__ import annotations

import os
import signal
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from orchestrator.sandbox.portrait import FRAMINGS, Framing, Portrait, draw
from orchestrator.vision import Measurement, identity_distance, measure, status, workers
from tests.integration.faces import require_faces
from tests.portraits import portrait

require_faces()

ROLLS = (-28.0, -13.8, 0.0, 9.0, 21.0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, float | str], Measurement]:
    """Every framing at every roll, and a few others, measured in one call."""
    folder = tmp_path_factory.mktemp("portraits") / "it's 初音"
    folder.mkdir()
    drawn: dict[tuple[str, float | str], Portrait] = {
        (framing, roll): portrait(framing=framing, roll_deg=roll) for framing in FRAMINGS for roll in ROLLS
    }
    drawn |= {("yaw", yaw): portrait(yaw_deg=yaw) for yaw in (-25.0, 25.0)}
    drawn |= {("person", number): portrait(number) for number in (8, 9)}
    drawn["blur", "2"] = portrait(blur=2.0)
    paths = {}
    for index, (key, one) in enumerate(drawn.items()):
        paths[key] = folder / f"{index:02d}.png"
        draw(replace(one, noise_seed=index), 512, 512).save(paths[key])
    paths["nobody", ""] = folder / "nobody.png"
    Image.radial_gradient("L").resize((512, 512)).convert("RGB").save(paths["nobody", ""])
    beside = Image.new("RGB", (1024, 512))
    for place, person in ((0, 7), (512, 8)):
        beside.paste(draw(portrait(person, noise_seed=person), 512, 512), (place, 0))
    paths["two", ""] = folder / "two.png"
    beside.save(paths["two", ""])
    # A face that fills its half, and a person further away in the other.
    unequal = Image.new("RGB", (1024, 512))
    for place, framing, person in ((0, "close-up", 7), (512, "upper body", 8)):
        unequal.paste(draw(portrait(person, framing, noise_seed=person), 512, 512), (place, 0))
    paths["two", "unequal"] = folder / "unequal.png"
    unequal.save(paths["two", "unequal"])
    found = measure(list(paths.values()), folder / "cache")
    assert measure(list(paths.values()), folder / "cache") == found, "the second time all comes from the cache"
    return dict(zip(paths, found, strict=True))


def test_faces_are_counted_and_one_covered_is_not_found_again(
    measured: dict[tuple[str, float | str], Measurement],
) -> None:
    assert measured["two", ""].faces == measured["two", "unequal"].faces == 2
    assert measured["nobody", ""].faces == 0
    assert {seen.faces for key, seen in measured.items() if key[0] not in {"two", "nobody"} and seen.face} == {1}


def test_both_parts_of_the_extra_are_there() -> None:
    assert status().available and status().identity and status().advice == ""


@pytest.mark.parametrize("framing", FRAMINGS)
def test_roll_and_framing_are_what_was_drawn(measured: dict[tuple[str, float], Measurement], framing: Framing) -> None:
    faces = [measured[framing, roll].face for roll in ROLLS]
    assert all(face is not None for face in faces)
    errors = [abs(face.roll_deg - roll) for face, roll in zip(faces, ROLLS, strict=True) if face]
    # A face of 60 pixels, drawn, has a bias of its own of up to 1.5°; it is the same at every roll.
    assert statistics.fmean(errors) < (2.0 if framing == "full body" else 1.0)
    assert max(errors) < 2.5
    assert {face.framing for face in faces if face} == {framing}


def test_a_turn_to_screen_left_is_positive(measured: dict[tuple[str, float], Measurement]) -> None:
    left, middle, right = (measured[key].face for key in (("yaw", 25.0), ("close-up", 0.0), ("yaw", -25.0)))
    assert left and middle and right
    assert left.yaw_deg > middle.yaw_deg + 8 > right.yaw_deg + 16


def test_the_same_person_is_nearer_than_another_whatever_the_angle(
    measured: dict[tuple[str, float], Measurement],
) -> None:
    def away(key: tuple[str, float]) -> float:
        mine, other = measured["close-up", 0.0].identity, measured[key].identity
        assert mine is not None and other is not None
        return identity_distance(mine, other)

    same = max(away(("close-up", roll)) for roll in ROLLS)
    assert same < 0.15
    assert min(away(("person", number)) for number in (8.0, 9.0)) > same * 1.5


def test_a_blurred_face_is_less_sharp(measured: dict[tuple[str, float | str], Measurement]) -> None:
    sharp, blurred = measured["close-up", 0.0].face, measured["blur", "2"].face
    assert sharp and blurred
    assert blurred.sharpness < sharp.sharpness - 0.5


def test_a_picture_without_a_face_says_so(measured: dict[tuple[str, float | str], Measurement]) -> None:
    nobody = measured["nobody", ""]
    assert (nobody.face, nobody.identity, nobody.missing) == (None, None, "no face found")
    assert nobody.looked


def test_a_measuring_process_that_ends_costs_one_picture_and_not_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    draw(portrait(), 256, 256).save(path)
    worker = workers.Worker()
    try:
        assert worker.measure(path).face is not None
        assert worker._process is not None
        os.kill(worker._process.pid, signal.SIGTERM)
        worker._process.wait()
        with pytest.raises(workers.WorkerDied):
            worker.measure(path)
        assert worker.measure(path).face is not None, "a new process was started"
    finally:
        worker.stop()
        worker.close()


def test_a_process_that_does_not_start_is_said_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    draw(portrait(), 256, 256).save(path)
    monkeypatch.setattr(workers, "_PROGRAM", "raise SystemExit('no memory left')")
    (measured,) = measure([path], tmp_path / "cache")
    assert measured.width == 256
    assert measured.missing.startswith("not measured: the measuring process ended on this picture")
    assert "no memory left" in measured.missing
    monkeypatch.undo()
    assert measure([path], tmp_path / "cache")[0].face is not None, "what was not measured was not kept"


def test_processes_are_kept_for_the_calls_of_a_block_and_end_with_it(tmp_path: Path) -> None:
    import psutil

    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children(recursive=True)}

    before = children()
    for number in range(3):
        draw(portrait(noise_seed=number), 256, 256).save(tmp_path / f"{number}.png")
    with workers.kept():
        first = measure([tmp_path / "0.png"], tmp_path / "cache")
        kept = children() - before
        with workers.kept():
            second = measure([tmp_path / "1.png"], tmp_path / "cache")
        third = measure([tmp_path / "2.png"], tmp_path / "cache")
        assert children() - before == kept, "no other process was started, and the inner block ended none"
        assert len(kept) == 1
        assert all(measured.face is not None for measured in (*first, *second, *third))
        os.kill(next(iter(kept)), signal.SIGTERM)
        draw(portrait(roll_deg=5.0), 256, 256).save(tmp_path / "4.png")
        assert measure([tmp_path / "4.png"], tmp_path / "cache")[0].face is not None, "one that died is replaced"
    assert children() <= before


def test_leaving_the_call_early_leaves_no_process_behind(tmp_path: Path) -> None:
    import psutil

    path = tmp_path / "a.png"
    draw(portrait(), 256, 256).save(path)
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def interrupted(path: Path, measurement: Measurement) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([path], tmp_path / "cache", on_measured=interrupted)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
