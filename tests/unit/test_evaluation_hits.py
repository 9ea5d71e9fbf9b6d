"""Hit rates: counted only where somebody judged, by the judge that scouts seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrator.distributions import wilson
from orchestrator.evaluation.evaluate import Eyes
from orchestrator.evaluation.hits import hit_rate, look_for
from orchestrator.vision.model import NO_FACE, Face, Measurement


def seen(framing: str | None, *, looked: bool = True) -> Measurement:
    face = None if framing is None else Face(0, 0, 0, (0, 0, 90, 120), 0.3, 2.0, framing)  # type: ignore[arg-type]
    return Measurement(
        "0" * 64, 512, 512, 2.0, 0, 0, face=face, missing="" if face else NO_FACE, backend="faces" if looked else ""
    )


class Tagging:
    """A WD14 tagger over HTTP is stood in for at the client's border, so that its answers can be chosen."""

    url = "http://127.0.0.1:1"

    def __init__(self, answers: dict[bytes, dict[str, float]]) -> None:
        self.answers = answers

    def options(self) -> dict[str, object]:
        return {}

    def set_options(self, values: object) -> None:
        raise AssertionError("nothing to set for WD14")

    def tagger_models(self) -> list[str]:
        return ["wd-v3"] if self.answers else []

    def tags(self, picture: bytes, model: str, threshold: float = 0.0) -> dict[str, float]:
        return self.answers[picture]

    def interrogate(self, picture: bytes, model: str = "deepdanbooru") -> str:
        from orchestrator.errors import ServerError

        raise ServerError("/sdapi/v1/interrogate", 500, "IndexError", "no weights")


@pytest.fixture
def eyes(ugly_path: Path) -> Callable[..., Eyes]:
    def with_answers(answers: dict[bytes, dict[str, float]], faces: Sequence[Measurement] = ()) -> Eyes:
        return Eyes(lambda paths, told: list(faces), Tagging(answers), ugly_path / "tags", ugly_path / "journals")

    return with_answers


def pictures(folder: Path, *contents: bytes) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_the_interval_is_wilsons() -> None:
    rate = hit_rate([True, True, True, *[False] * 9])
    assert (rate.hits, rate.measured) == (3, 12)
    assert (rate.low, rate.high) == wilson(3, 12)
    assert str(rate) == "3 of 12, 25% (9% to 53%)"


def test_what_nobody_judged_has_no_rate() -> None:
    rate = hit_rate([None, None])
    assert (rate.rate, rate.low, rate.high) == (None, None, None)
    assert str(rate) == "not measured"
    assert hit_rate([True, None]).measured == 1


def test_a_pose_is_judged_by_tags(eyes: Callable[..., Eyes], ugly_path: Path) -> None:
    answers = {b"up": {"looking_up": 0.9}, b"almost": {"looking_up": 0.34}, b"just": {"looking_up": 0.35}}
    looks = look_for("looking up", pictures(ugly_path, *answers), eyes(answers))
    assert [look.obeys for look in looks] == [True, False, True]


def test_without_a_judge_there_is_a_reason_and_no_number(eyes: Callable[..., Eyes], ugly_path: Path) -> None:
    (look,) = look_for("smile", pictures(ugly_path, b"x"), eyes({}))
    assert (look.obeys, look.score) == (None, None)
    assert "no weights" in look.why


def test_a_tagger_without_the_word_counts_nothing(eyes: Callable[..., Eyes], ugly_path: Path) -> None:
    (look,) = look_for("smile", pictures(ugly_path, b"x"), eyes({b"x": {"arm_up": 0.9}}))
    assert look.obeys is None
    assert "no word for smile" in look.why


def test_a_framing_is_read_off_the_face(eyes: Callable[..., Eyes], ugly_path: Path) -> None:
    faces = [seen("close-up"), seen("full body"), seen(None)]
    looks = look_for("close-up", pictures(ugly_path, b"a", b"b", b"c"), eyes({}, faces))
    assert [look.obeys for look in looks] == [True, False, False]


def test_where_nobody_looks_for_faces_the_tagger_judges_framings(eyes: Callable[..., Eyes], ugly_path: Path) -> None:
    answers = {b"a": {"full_body": 0.9}, b"b": {"full_body": 0.1}}
    faces = [seen(None, looked=False)] * 2
    looks = look_for("full body", pictures(ugly_path, *answers), eyes(answers, faces))
    assert [look.obeys for look in looks] == [True, False]
