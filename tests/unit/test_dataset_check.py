from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dataset import CheckResult, DatasetPicture, Finding, check
from orchestrator.profile.model import Group, Limits
from orchestrator.vision import Face, Measurement

CLOSE = Group(name="close-up", folders=("a",), framing="close-up")
UPPER = Group(name="upper body", folders=("b",), framing="upper body")
LEVELS = ["blocker", "locked in", "warning", "note"]


def picture(
    number: int, group: str = "close-up", caption: str = "ai_model_v4, close-up", **more: str
) -> DatasetPicture:
    return DatasetPicture(Path(f"{number:04d}.png"), group, caption, group, f"{number}{group}", {}, **more)


def seen(number: int, roll: float = 0.0, *, yaw: float = 0.0, framing: str = "close-up", side: int = 512, **more):  # type: ignore[no-untyped-def]
    """A measurement unlike any other in hash and colours."""
    face = Face(roll, yaw, 8.0, (150, 140, 200, 240), 0.45, more.pop("sharpness", 2.0), framing)  # type: ignore[arg-type]
    values = {
        "sha256": str(number),
        "width": side,
        "height": side + 20,
        "sharpness": 2.0,
        "dhash": (number + 1) * 0x9E3779B97F4A7C15 % 2**64,
        "dhash_mirror": (number + 1) * 0xC2B2AE3D27D4EB4F % 2**64,
        "colours": bytes((number * 37 + place * (number + 3)) % 256 for place in range(768)).hex(),
        "face": face,
        "backend": "mediapipe FaceMesh",
    }
    return Measurement(**values | more)


def looked_at(measurements: list[Measurement], pictures: list[DatasetPicture] | None = None, **options) -> CheckResult:  # type: ignore[no-untyped-def]
    pictures = pictures or [picture(number) for number in range(len(measurements))]
    groups = options.pop("groups", (CLOSE,))
    return check(pictures, measurements, Limits(), groups, **options)


def kinds(result: CheckResult) -> set[str]:
    return {finding.kind for finding in result.findings}


def one(result: CheckResult, kind: str) -> Finding:
    (finding,) = [finding for finding in result.findings if finding.kind == kind]
    return finding


def two_framings(rolls: list[float]) -> tuple[list[Measurement], list[DatasetPicture]]:
    """Ten close-ups with these rolls, and ten upright upper bodies."""
    measurements = [seen(n, roll) for n, roll in enumerate(rolls)]
    measurements += [seen(50 + n, roll=(-1) ** n * 4.0, framing="upper body") for n in range(10)]
    pictures = [picture(n) for n in range(len(rolls))]
    return measurements, pictures + [picture(50 + n, "upper body", "ai_model_v4, upper body") for n in range(10)]


def test_a_lean_all_close_ups_share_is_said_to_be_locked_in() -> None:
    measurements, pictures = two_framings([13.8 + (-1) ** n * 1.8 for n in range(10)])
    result = looked_at(measurements, pictures, groups=(CLOSE, UPPER))
    lean = one(result, "lean")
    assert (lean.level, lean.group) == ("locked in", "close-up")
    assert lean.what == "10 of 10 heads lean clockwise, +13.8° on average (sd 1.9°)"
    assert "no prompt will take it out" in lean.means
    assert "straighten" in lean.fix
    assert not result.clean
    assert result.findings[0] is lean


def test_a_lean_with_other_angles_among_them_is_only_a_warning() -> None:
    measurements, pictures = two_framings([28, -12, 22, 1, 25, -9, 19, 8, 14, 2])
    lean = one(looked_at(measurements, pictures, groups=(CLOSE, UPPER)), "lean")
    assert lean.level == "warning"


def test_a_balanced_upright_dataset_is_clean() -> None:
    measurements, pictures = two_framings([3, -2, 1, 0, -4, 2, -1, 4, 0, -3])
    result = looked_at(measurements, pictures, groups=(CLOSE, UPPER), trigger="ai_model_v4")
    assert kinds(result) == {"single marks"}
    assert result.clean
    close, upper = result.groups
    assert (close.seen, close.faces, close.framings, close.min_side) == (10, 10, {"close-up": 10}, 512)
    assert close.roll_mean == pytest.approx(0.0)
    assert upper.framings == {"upper body": 10}


def test_repeats_count_for_the_balance() -> None:
    measurements, pictures = two_framings([0.0] * 10)
    groups = (CLOSE, UPPER.model_copy(update={"repeats": 5}))
    balance = one(looked_at(measurements, pictures, groups=groups), "balance")
    assert balance.level == "locked in"
    assert "sees upper body 5.0 times as often as close-up" in balance.what
    assert "upper body 10 × 5 = 50" in balance.what


def test_one_framing_only_is_locked_in() -> None:
    assert one(looked_at([seen(n) for n in range(12)]), "one framing").what == "12 of 12 faces are framed as close-up"


def test_a_turn_all_share_is_locked_in() -> None:
    turn = one(looked_at([seen(n, yaw=-18 + n % 3) for n in range(10)]), "turn")
    assert turn.level == "locked in"
    assert "to screen right: about 17°" in turn.what


def test_missing_faces_are_said_with_their_rate_and_never_averaged_away() -> None:
    lost = {"face": None, "missing": "no face found"}
    result = looked_at([seen(n, 14.0) for n in range(6)] + [seen(10 + n, **lost) for n in range(4)])
    assert one(result, "lean").what.startswith("6 of 6 heads")
    missing = one(result, "no face")
    assert missing.level == "warning"
    assert "found in 6 of 10 pictures (60%)" in missing.what
    assert missing.pictures == tuple(f"close-up/{n:04d}.png" for n in range(6, 10))


def test_without_the_extra_it_says_not_measured_and_judges_the_rest() -> None:
    unmeasured = {"face": None, "missing": "not measured: pip install -e '.[vision]'", "backend": ""}
    result = looked_at([seen(n, side=300, **unmeasured) for n in range(12)])
    note = one(result, "not measured")
    assert note.level == "note"
    assert "12 pictures were not measured: pip install -e '.[vision]'" in note.what
    assert one(result, "size").level == "warning"
    assert kinds(result) == {"not measured", "single marks", "size"}
    assert result.groups[0].roll_mean is None
    assert result.groups[0].looked == 0


def test_unreadable_files_are_named_with_the_reason() -> None:
    broken = Measurement("x", 0, 0, 0.0, 0, 0, missing="unreadable: it is damaged (truncated)")
    finding = one(looked_at([*[seen(n) for n in range(11)], broken]), "unreadable")
    assert "1 of 12 files cannot be read as pictures: close-up/0011.png (it is damaged (truncated))" in finding.what


def test_copies_and_mirrored_copies_are_found_across_groups() -> None:
    measurements, pictures = two_framings([0.0] * 10)
    first = measurements[0]
    measurements[12] = seen(99, framing="upper body", dhash=first.dhash ^ 0b101, colours=first.colours)
    finding = one(looked_at(measurements, pictures, groups=(CLOSE, UPPER)), "duplicates")
    assert finding.group == ""
    assert "up to 2 of 64 bits differ" in finding.what
    assert finding.pictures == ("close-up/0000.png", "upper body/0052.png")


def test_wrong_framing_small_and_blurred_pictures_are_named() -> None:
    measurements = [seen(n) for n in range(12)]
    measurements[3] = seen(3, framing="full body")
    measurements[5] = seen(5, side=256)
    measurements[7] = seen(7, sharpness=0.9)
    result = looked_at(measurements)
    assert one(result, "framing").what == "1 of 12 pictures are not close-up but 1 × full body: close-up/0003.png"
    assert "down to 256 px" in one(result, "size").what
    assert one(result, "blurred").pictures == ("close-up/0007.png",)
    assert "(13 times)" in one(result, "blurred").what


def test_somebody_elses_face_is_named_and_the_usual_spread_is_not() -> None:
    def who(number: int, offset: float) -> Measurement:
        wobble = [0.02 * ((number * place) % 7 - 3) for place in range(128)]
        identity = tuple(0.1 + value + (offset if place < 16 else 0.0) for place, value in enumerate(wobble))
        return seen(number, identity=identity, embedding_name="dlib")

    same = [who(number, 0.0) for number in range(11)]
    assert "somebody else" not in kinds(looked_at(same))
    found = one(looked_at([*same, who(11, 0.4)]), "somebody else")
    assert found.pictures == ("close-up/0011.png",)


def test_caption_troubles() -> None:
    pictures = [picture(n) for n in range(12)]
    pictures[1] = picture(1, caption="", caption_problem="empty")
    pictures[2] = picture(2, caption="a woman, close-up")
    pictures[3] = picture(3, caption_note="2 lines joined to one")
    result = looked_at([seen(n) for n in range(12)], pictures, trigger="ai_model_v4")
    assert one(result, "caption").what == "1 of 12 captions cannot be trained with (empty): close-up/0001.png"
    assert one(result, "trigger").pictures == ("close-up/0002.png",)
    assert one(result, "caption mended").level == "note"


def test_few_pictures_and_empty_groups() -> None:
    result = looked_at([seen(n) for n in range(4)], groups=(CLOSE, UPPER))
    assert one(result, "few").what == "4 pictures in all"
    assert one(result, "empty").group == "upper body"


def test_measurements_must_belong_to_the_pictures() -> None:
    with pytest.raises(ValueError, match="shorter"):
        check([picture(0), picture(1)], [seen(0)], Limits(), (CLOSE,))


@given(
    st.lists(
        st.tuples(st.floats(-180, 180), st.sampled_from(["close-up", "upper body", "full body"]), st.booleans()),
        max_size=14,
    )
)
def test_any_dataset_gets_an_answer_gravest_first(faces: list[tuple[float, str, bool]]) -> None:
    measurements = [
        seen(n, roll, framing=framing) if found else seen(n, face=None, missing="no face found")
        for n, (roll, framing, found) in enumerate(faces)
    ]
    result = check([picture(n) for n in range(len(faces))], measurements, Limits(), (CLOSE, UPPER))
    order = [LEVELS.index(finding.level) for finding in result.findings]
    assert order == sorted(order)
    assert result.clean == all(level == 3 for level in order)
    import json

    assert json.loads(json.dumps(result.to_dict()))["clean"] == result.clean


def test_the_trigger_is_looked_for_as_a_word_of_its_own() -> None:
    pictures = [picture(n) for n in range(12)]
    pictures[3] = picture(3, caption="ai_model_v40, close-up")
    found = one(looked_at([seen(n) for n in range(12)], pictures, trigger="ai_model_v4"), "trigger")
    assert found.pictures == ("close-up/0003.png",)
    assert 'caption add --first "{trigger}" close-up/*' in found.fix


def test_marks_of_single_pictures_are_the_tagger_s_and_the_rest_is_said_not_to_be_looked_for() -> None:
    pictures = [picture(n) for n in range(12)]
    measurements = [seen(n) for n in range(12)]
    unasked = one(looked_at(measurements, pictures), "single marks")
    assert unasked.level == "note" and "12 of 12 pictures" in unasked.what and "caption tag" in unasked.fix
    tags = {one.sha256: {"1girl": 0.9, "watermark": 0.1} for one in pictures[:8]}
    tags[pictures[2].sha256] = {"watermark": 0.8, "artist_name": 0.5}
    tags[pictures[5].sha256] = {"twitter_username": 0.6}
    result = looked_at(measurements, pictures, tags=tags, seen_from=0.35)
    found = one(result, "mark seen")
    assert found.pictures == ("close-up/0002.png", "close-up/0005.png")
    assert "2 of 8 pictures" in found.what and "watermark 1 ×" in found.what
    assert "4 of 12 pictures" in one(result, "single marks").what


def test_captions_that_are_certainly_too_long_are_named() -> None:
    pictures = [picture(n) for n in range(12)]
    pictures[4] = picture(4, caption=", ".join(["ai_model_v4", *(f"word{'x' * n}" for n in range(40))]))
    found = one(looked_at([seen(n) for n in range(12)], pictures, trigger="ai_model_v4"), "long caption")
    assert found.pictures == ("close-up/0004.png",) and "max_token_length" in found.fix
