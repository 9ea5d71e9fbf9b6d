from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestrator.dataset import caption_store, collect
from orchestrator.dataset.import_records import imports, undo
from orchestrator.dataset.importing import carry_out, plan_import
from orchestrator.dataset.lineage import describe
from orchestrator.dataset.provenance import infotext_of, made_by_a1111
from orchestrator.errors import DatasetError, InputError
from orchestrator.files import sha256_file, write_json
from orchestrator.profile.model import Profile
from orchestrator.workspace import Workspace

INFOTEXT = (
    "a face, <lora:v1-000040:1>\nNegative prompt: blurry\n"
    'Steps: 28, Sampler: Euler, Seed: 77, Size: 64x64, Lora hashes: "v1-000040: 0123456789ab", Version: v1.10.1'
)


@pytest.fixture
def profile() -> Profile:
    groups = [{"name": "close-up", "caption": "{trigger}, close-up"}, {"name": "full body", "repeats": 3}]
    return Profile.model_validate({"subject": {"name": "ai_model", "version": "v1"}, "dataset": {"groups": groups}})


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    return Workspace(ugly_path / "workspace")


@pytest.fixture
def source(ugly_path: Path) -> Path:
    """Two pictures, one of them with a caption of two lines."""
    folder = ugly_path / "my photos"
    picture(folder / "あ_b_c_d_e.png", 10)
    picture(folder / "plain.jpg", 200)
    (folder / "あ_b_c_d_e.txt").write_text("\ufeffmiku, smiling\nlooking up\n", encoding="utf-8")
    return folder


def picture(path: Path, shade: int, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (shade, 90, 90)).save(path, **how)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_pictures_and_captions_are_copied_and_the_group_takes_them(
    profile: Profile, workspace: Workspace, source: Path
) -> None:
    before = everything(source)
    done = carry_out(workspace, plan_import(profile, workspace, [source], group="close-up"))

    assert everything(source) == before
    found = {one.path.name: one for one in collect_close_ups(profile, workspace)}
    assert len(found) == len(done.files) == 2
    captions = {one.origin["imported_from"]: one.caption for one in found.values()}
    assert captions == {
        str(source / "あ_b_c_d_e.png"): "miku, smiling, looking up",
        str(source / "plain.jpg"): "ai_model_v1, close-up",
    }


def collect_close_ups(profile: Profile, workspace: Workspace) -> list:  # type: ignore[type-arg]
    return [one for one in collect(profile, workspace) if one.group == "close-up"]


def test_the_same_import_again_copies_nothing_and_one_cut_off_brings_the_rest(
    profile: Profile, workspace: Workspace, source: Path
) -> None:
    first = carry_out(workspace, plan_import(profile, workspace, [source], group="close-up"))
    first.files[0].unlink()
    again = carry_out(workspace, plan_import(profile, workspace, [source], group="close-up"))
    assert again.files == (first.files[0],)
    assert again.there == 1
    assert carry_out(workspace, plan_import(profile, workspace, [source], group="close-up")).number == ""


def test_undo_takes_back_the_newest_import_and_keeps_what_was_changed(
    profile: Profile, workspace: Workspace, source: Path
) -> None:
    done = carry_out(workspace, plan_import(profile, workspace, [source], group="close-up"))
    retouched = next(path for path in done.files if path.suffix == ".jpg")
    picture(retouched, 33)

    undone = undo(workspace)

    assert undone.kept == (retouched,)
    assert undone.removed == tuple(path for path in done.files if path != retouched)
    assert list(imports(workspace)) == [done.number]
    assert [one.path for one in collect_close_ups(profile, workspace)] == [retouched]


def test_kohyas_folders_say_the_group_and_how_often_it_is_seen(
    profile: Profile, workspace: Workspace, ugly_path: Path
) -> None:
    picture(ugly_path / "train" / "10_full body" / "a.png", 10)
    picture(ugly_path / "train" / "1_close-up" / "a.png", 20)
    plan = plan_import(profile, workspace, [ugly_path / "train"])
    assert sorted((one.group, one.path.parent.name) for one in plan.incoming) == [
        ("close-up", "1_close-up"), ("full body", "10_full body"),
    ]  # fmt: skip
    assert ["repeats = 10" in note for note in plan.notes] == [True]


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_copied(
    profile: Profile, workspace: Workspace, source: Path
) -> None:
    (source / "text.png").write_text("not a picture", encoding="utf-8")
    whole = picture(source / "cut.jpg", 77).read_bytes()
    (source / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (1, 200)]
    frames[0].save(source / "moving.webp", save_all=True, append_images=frames[1:])
    (source / "plain.txt").write_bytes("笑顔、上を向く".encode("cp932"))

    plan = plan_import(profile, workspace, [source], group="close-up")
    with pytest.raises(DatasetError) as caught:
        carry_out(workspace, plan)

    said = str(caught.value)
    assert "4 problems" in said
    for name, words in {
        "text.png": "not a picture", "cut.jpg": "damaged", "moving.webp": "animated (2 frames)", "plain.txt": "cp932",
    }.items():  # fmt: skip
        assert any(name in line and words in line for line in said.splitlines()), (name, said)
    assert not workspace.imported("").exists()
    assert len(carry_out(workspace, plan, skip_bad=True).files) == 1
    read = plan_import(profile, workspace, [source / "plain.jpg"], group="close-up", caption_encoding="cp932")
    assert read.incoming[0].caption == "笑顔、上を向く"


def test_what_a1111_wrote_into_a_picture_is_its_origin(profile: Profile, workspace: Workspace, ugly_path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("parameters", INFOTEXT)
    drawn = picture(ugly_path / "outputs" / "00001-77.png", 5, pnginfo=chunk)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\x00" + INFOTEXT.encode("utf-16-be")
    as_jpeg = picture(ugly_path / "outputs" / "00002-77.jpg", 6, exif=exif)

    carry_out(workspace, plan_import(profile, workspace, [drawn, as_jpeg], group="close-up"))

    for one in collect_close_ups(profile, workspace):
        assert one.origin["seed"] == 77
        assert one.origin["infotext"] == INFOTEXT
        assert one.origin["loras"] == {"v1-000040": "0123456789ab"}
    assert made_by_a1111(picture(ugly_path / "photo.jpg", 9)) == {}


def test_an_unknown_group_is_answered_with_what_to_write(
    profile: Profile, workspace: Workspace, ugly_path: Path
) -> None:
    picture(ugly_path / "5_half" / "a.png", 1)
    with pytest.raises(InputError, match=r'(?s)no dataset group .half.*name = "half"\nrepeats = 5'):
        plan_import(profile, workspace, [ugly_path / "5_half"])
    with pytest.raises(InputError, match="is not there"):
        plan_import(profile, workspace, [ugly_path / "nowhere"], group="close-up")


def test_a_record_from_elsewhere_cannot_reach_out_of_its_folder(
    profile: Profile, workspace: Workspace, source: Path
) -> None:
    carry_out(workspace, plan_import(profile, workspace, [source], group="close-up"))
    ((record,),) = imports(workspace).values()
    values = json.loads(record.read_text(encoding="utf-8"))
    outside = source / "plain.jpg"
    values["pictures"] = [{**values["pictures"][0], "file": f"../../../{source.name}/plain.jpg"}]
    record.write_text(json.dumps(values), encoding="utf-8")
    assert undo(workspace).removed == ()
    assert outside.exists()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_an_exif_comment_of_any_bytes_is_no_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = data
    path = tmp_path_factory.getbasetemp() / "comment.jpg"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    assert isinstance(infotext_of(path), str)


def straightened(workspace: Workspace, old: Path) -> Path:
    """A folder as `pictures straighten` leaves it: another picture, and a manifest that says of what it was made."""
    folder = workspace.root / "straight"
    new = picture(folder / f"{old.stem}.png", 99)
    entry = {
        "file": new.name, "sha256": sha256_file(new), "source": str(old), "source_sha256": sha256_file(old),
        "straightened_deg": 13.4,
    }  # fmt: skip
    write_json(folder / "manifest.json", {"pictures": [entry]})
    return folder


def test_a_straightened_picture_takes_the_place_and_the_caption_of_the_imported_one_and_undo_brings_it_back(
    profile: Profile, workspace: Workspace, source: Path
) -> None:
    carry_out(workspace, plan_import(profile, workspace, [source], group="close-up"))
    folder = workspace.imported("close-up")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    (old,) = folder.glob("*_b_c_d_e-*.png")
    caption_store.write(workspace, {sha256_file(old): caption_store.Kept(("red scarf",))})
    into = straightened(workspace, old)

    beside = carry_out(workspace, plan_import(profile, workspace, [into], group="close-up"))
    assert (beside.instead, len(collect_close_ups(profile, workspace))) == (0, 3), "only where it is asked for"
    undo(workspace)
    done = carry_out(workspace, plan_import(profile, workspace, [into], group="close-up", instead=True))
    assert done.instead == 1
    found = {one.path: one for one in collect_close_ups(profile, workspace)}
    assert len(found) == 2 and old not in found
    new = found[done.files[0]]
    assert (new.caption, new.caption_from) == ("miku, smiling, looking up", "file")
    assert new.origin["straightened_deg"] == 13.4
    assert caption_store.read(workspace)[new.sha256].words == ("red scarf",)
    described = describe({"from": {"origin": new.origin}})
    assert "made of " in described and "straightened by 13.4°" in described

    back = undo(workspace)
    assert [path.name for path in back.back] == [old.name]
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
