from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestrator.dataset import build, building, collect, load
from orchestrator.dataset.building import group_folders
from orchestrator.errors import DatasetError, PictureError, StorageError
from orchestrator.files import sha256_file, write_json
from orchestrator.profile.model import Group, Profile
from orchestrator.training.inputs import read_dataset
from orchestrator.workspace import Workspace


def profile(**groups: object) -> Profile:
    """One group from a picture set and one from the user's own folder."""
    return Profile.model_validate(
        {
            "subject": {"name": "ai_model", "version": "v4"},
            "pictures": [{"name": "faces", "prompt": "a face", "count": 3}],
            "dataset": {
                "groups": [
                    {"name": "close-up", "caption": "{trigger}, close-up", "sets": ["faces"], "repeats": 2} | groups,
                    {"name": "own", "caption": "{trigger}, own", "folders": ["my photos"], "repeats": 5},
                ]
            },
        }
    )


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    """Three made pictures with their manifest, and two own ones: a PNG with infotext, a JPEG lying on its side."""
    space = Workspace(ugly_path)
    faces = space.picture_set("faces")
    entries = []
    for number in range(1, 4):
        path = faces / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        note = PngImagePlugin.PngInfo()
        note.add_text("parameters", f"a face, Seed: {number}")
        Image.new("RGB", (64, 64), (number * 40, 90, 90)).save(path, pnginfo=note)
        entries.append({"file": path.name, "sha256": sha256_file(path), "seed": number, "straightened_deg": 13.8})
    write_json(faces / "manifest.json", {"set": "faces", "pictures": entries})
    own = ugly_path / "my photos"
    own.mkdir()
    Image.new("RGBA", (64, 80), (200, 10, 10, 128)).save(own / "b.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (90, 60), "blue").save(own / "a.jpg", exif=turned)
    (own / "a.txt").write_text("\ufeff{trigger}, on a beach\nsmiling\n", encoding="utf-8")
    return space


def test_it_is_what_sd_scripts_reads(workspace: Workspace) -> None:
    built = build(profile(), workspace, collect(profile(), workspace))
    close, own = built.groups
    assert [close.folder.name, own.folder.name] == ["2_close-up", "5_own"]
    assert sorted(path.name for path in close.folder.iterdir()) == [
        f"000{n}.{end}" for n in (1, 2, 3) for end in ("png", "txt")
    ]
    assert (close.folder / "0001.txt").read_bytes() == b"ai_model_v4, close-up\n"
    assert (own.folder / "0001.txt").read_bytes() == b"ai_model_v4, on a beach, smiling\n"
    assert (own.folder / "0002.txt").read_bytes() == b"ai_model_v4, own\n"
    config = toml.loads(built.config.read_text(encoding="utf-8"))
    subsets = config["datasets"][0]["subsets"]
    assert [(Path(subset["image_dir"]), subset["num_repeats"]) for subset in subsets] == [
        (close.folder, 2),
        (own.folder, 5),
    ]
    assert config["general"]["caption_extension"] == ".txt"
    assert config["datasets"][0]["resolution"] == [512, 512]
    assert built.count == 5
    assert built.built


def test_pictures_are_copied_untouched_where_they_can_be_and_written_upright_where_not(workspace: Workspace) -> None:
    built = build(profile(), workspace, collect(profile(), workspace))
    made = workspace.picture_set("faces") / "0002.png"
    assert (built.groups[0].folder / "0002.png").read_bytes() == made.read_bytes()
    with (
        Image.open(built.groups[1].folder / "0001.png") as jpeg,
        Image.open(built.groups[1].folder / "0002.png") as clear,
    ):
        assert (jpeg.format, jpeg.mode, jpeg.size) == ("PNG", "RGB", (60, 90))
        assert (clear.format, clear.mode) == ("PNG", "RGB")


def test_the_manifest_says_where_every_picture_came_from(workspace: Workspace) -> None:
    Image.new("RGB", (64, 64), "green").save(workspace.picture_set("faces") / "0003.png")
    built = build(profile(), workspace, collect(profile(), workspace))
    manifest = json.loads(built.manifest.read_text(encoding="utf-8"))
    first, _, retouched, own, _ = manifest["pictures"]
    assert first["file"] == "2_close-up/0001.png"
    assert first["sha256"] == sha256_file(built.folder / first["file"])
    assert first["from"]["set"] == "faces"
    assert first["from"]["origin"]["seed"] == 1
    assert first["from"]["origin"]["straightened_deg"] == 13.8
    assert retouched["from"]["origin"]["changed_by_hand"] is True
    assert own["from"]["path"].endswith("a.jpg")
    assert manifest["fingerprint"] == built.fingerprint


def test_an_unchanged_dataset_is_left_alone(workspace: Workspace) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = build(profile(), workspace, collect(profile(), workspace))
    assert not again.built
    assert again.fingerprint == first.fingerprint
    assert {path: path.stat().st_mtime_ns for path in again.folder.rglob("*")} == stamps
    assert load(workspace, "v4") == again


def test_pictures_retouched_by_hand_are_told_from_made_ones_and_old_ones_are_not_taken(workspace: Workspace) -> None:
    faces = workspace.picture_set("faces")
    entry = {"file": "0001.png", "sha256": sha256_file(faces / "0001.png"), "retouched": True}
    write_json(faces / "manifest.json", {"set": "faces", "pictures": [entry]})
    (faces / "retouched").mkdir()
    Image.new("RGB", (64, 64), "green").save(faces / "retouched" / "0001.png")
    pictures = collect(profile(), workspace)
    assert len(pictures) == 5
    assert pictures[0].origin["changed_by_hand"] is True


@pytest.mark.parametrize("change", [{"repeats": 3}, {"caption": "{trigger}, face"}, {"count": 2}])
def test_what_the_trainer_would_learn_otherwise_changes_the_fingerprint(
    workspace: Workspace, change: dict[str, object]
) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    other = build(profile(**change), workspace, collect(profile(**change), workspace))
    assert other.built
    assert other.fingerprint != first.fingerprint
    assert not list(other.folder.parent.glob(".*")), "nothing is left beside"
    assert not list(other.folder.parent.glob("v4 *")), "a dataset as we made it needs no keeping"


def test_a_moved_workspace_gets_its_paths_put_right_without_a_new_dataset(workspace: Workspace, tmp_path: Path) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    moved = Workspace(workspace.root.rename(tmp_path / "elsewhere"))
    again = build(profile(), moved, collect(profile(), moved))
    assert not again.built
    assert again.fingerprint == first.fingerprint
    assert "elsewhere" in toml.loads(again.config.read_text(encoding="utf-8"))["datasets"][0]["subsets"][0]["image_dir"]


def test_changes_by_hand_are_kept_beside_and_said(workspace: Workspace) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    (first.groups[0].folder / "0001.txt").write_text("mine", encoding="utf-8")
    (first.groups[0].folder / "0001_sd15.npz").write_bytes(b"a cache of sd-scripts is no change")
    again = build(profile(), workspace, collect(profile(), workspace))
    assert again.built
    kept = again.folder.with_name("v4 changed 1")
    assert (kept / "2_close-up" / "0001.txt").read_text(encoding="utf-8") == "mine"
    (note,) = again.notes
    assert "2_close-up/0001.txt" in note and "v4 changed 1" in note


@pytest.mark.parametrize("mine", ["5_extra/own.png", "notes.md", "2_close-up/0009.txt", "2_close-up/deep/a.bin"])
def test_whatever_a_person_put_into_the_dataset_is_kept(workspace: Workspace, mine: str) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    (first.folder / mine).parent.mkdir(parents=True, exist_ok=True)
    (first.folder / mine).write_bytes(b"precious")
    again = build(profile(repeats=3), workspace, collect(profile(repeats=3), workspace))
    assert (again.folder.with_name("v4 changed 1") / mine).read_bytes() == b"precious"
    (note,) = again.notes
    assert mine in note


@pytest.mark.parametrize("trouble", [PermissionError(13, "held"), KeyboardInterrupt()])
def test_an_old_dataset_that_cannot_be_removed_whole_leaves_the_new_one_whole(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))

    def stops_halfway(folder: Path, *args: object, **options: object) -> None:
        (Path(folder) / "manifest.json").unlink(missing_ok=True)
        raise trouble

    other = profile(repeats=3)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", stops_halfway)
        with contextlib.suppress(KeyboardInterrupt):
            build(other, workspace, collect(other, workspace))
    now = load(workspace, "v4")
    assert now is not None and now.fingerprint != first.fingerprint
    assert not build(other, workspace, collect(other, workspace)).built
    assert not list(now.folder.parent.glob(".*")), "what was left is gone after the next build"


def test_the_old_dataset_comes_back_when_the_new_one_cannot_take_its_place(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    (first.groups[0].folder / "0001.txt").write_text("mine", encoding="utf-8")

    def held(source: Path, target: Path) -> None:
        if source.name.endswith(".building"):
            raise PermissionError(13, "held")
        source.rename(target)

    monkeypatch.setattr(building, "replace", held)
    with pytest.raises(StorageError):
        build(profile(), workspace, collect(profile(), workspace))
    assert load(workspace, "v4") == dataclasses.replace(first, built=False)
    assert [path.name for path in first.folder.parent.iterdir()] == ["v4"]


def test_what_other_programs_leave_in_a_dataset_is_no_change(workspace: Workspace) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    for file in ("2_close-up/0001_0512x0512_sd.npz", ".DS_Store", "2_close-up/Thumbs.db"):
        (first.folder / file).write_bytes(b"cache")
    assert not build(profile(), workspace, collect(profile(), workspace)).built


def test_a_folder_that_is_not_ours_is_never_touched(workspace: Workspace) -> None:
    mine = workspace.dataset("v4") / "10_me" / "photo.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"precious")
    with pytest.raises(DatasetError, match="was not made by orchestrator"):
        build(profile(), workspace, collect(profile(), workspace))
    assert mine.read_bytes() == b"precious"


def test_an_unreadable_picture_stops_the_build_and_leaves_the_old_dataset(workspace: Workspace) -> None:
    first = build(profile(), workspace, collect(profile(), workspace))
    (workspace.root / "my photos" / "c.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(PictureError, match=r"c\.png"):
        build(profile(), workspace, collect(profile(), workspace))
    assert load(workspace, "v4") == load(workspace, "v4")
    assert (first.groups[1].folder / "0002.png").is_file()
    assert not list(first.folder.parent.glob(".*"))


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"", "empty"), (b" \n,\n", "empty"), ("初音".encode("cp932"), "not UTF-8 but probably cp932")],
)
def test_a_caption_sd_scripts_would_stop_at_is_refused_by_name(workspace: Workspace, data: bytes, problem: str) -> None:
    (workspace.root / "my photos" / "b.txt").write_bytes(data)
    pictures = collect(profile(), workspace)
    assert [one.caption_problem for one in pictures] == ["", "", "", "", problem]
    with pytest.raises(DatasetError, match=rf"b\.txt is {problem}"):
        build(profile(), workspace, pictures)


def test_sets_and_folders_that_are_not_there_are_named(workspace: Workspace) -> None:
    (workspace.root / "my photos").rename(workspace.root / "other")
    with pytest.raises(DatasetError, match="my photos"):
        collect(profile(), workspace)
    with pytest.raises(DatasetError, match="has none yet") as raised:
        collect(profile(), Workspace(workspace.root / "empty"))
    assert 'orchestrator pictures make "faces"' in raised.value.fix


def test_a_group_left_without_pictures_is_refused(workspace: Workspace) -> None:
    pictures = [one for one in collect(profile(), workspace) if one.group == "own"]
    with pytest.raises(DatasetError, match="'close-up' has no pictures"):
        build(profile(), workspace, pictures)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=12), st.integers(1, 20)), min_size=1, max_size=6))
def test_group_folders_never_meet(groups: list[tuple[str, int]]) -> None:
    made = [Group.model_construct(name=name, repeats=repeats) for name, repeats in groups]
    names = group_folders(made)
    assert len({name.casefold() for name in names}) == len(names)
    assert all(name.split("_")[0] == str(repeats) for name, (_, repeats) in zip(names, groups, strict=True))


def test_masks_become_transparency_and_regularisation_is_told(workspace: Workspace) -> None:
    own = workspace.root / "my photos"
    masks = workspace.root / "masks"
    masks.mkdir()
    for name in ("a", "b"):
        with Image.open(next(own.glob(f"{name}.*"))) as picture:
            mask = Image.new("L", picture.size, 0)
        mask.paste(255, (0, 0, 30, 30))
        mask.save(masks / f"{name}.png")
    chosen = Profile.model_validate(
        {
            "subject": {"name": "ai_model", "version": "v4"},
            "dataset": {
                "groups": [
                    {"name": "own", "folders": ["my photos"], "masks": "masks"},
                    {"name": "women", "caption": "a woman", "folders": ["my photos"], "regularisation": True},
                    {"name": "clear", "folders": ["clear"], "masks": "alpha"},
                ]
            },
        }
    )
    clear = Image.new("RGBA", (64, 64), (1, 2, 3, 0))
    clear.paste((9, 9, 9, 255), (0, 0, 32, 64))
    (workspace.root / "clear").mkdir()
    clear.save(workspace.root / "clear" / "c.png")

    made = build(chosen, workspace, collect(chosen, workspace))

    with Image.open(made.folder / "1_own" / "0002.png") as trained:
        assert trained.mode == "RGBA"
        assert trained.getchannel("A").getbbox() == (0, 0, 30, 30)
    with Image.open(made.folder / "1_clear" / "0001.png") as trained:
        assert trained.getchannel("A").getbbox() == (0, 0, 32, 64)
    with Image.open(made.folder / "1_women" / "0001.png") as trained:
        assert trained.mode == "RGB"
    subsets = {Path(one["image_dir"]).name: one for one in toml.load(made.config)["datasets"][0]["subsets"]}
    assert subsets["1_own"]["alpha_mask"] is True
    assert subsets["1_women"]["is_reg"] is True
    assert "class_tokens" not in subsets["1_women"]
    seen = read_dataset(made.folder)
    assert [(group.name, group.regularisation, group.alpha_mask) for group in seen.groups] == [
        ("clear", False, True), ("own", False, True), ("women", True, False),
    ]  # fmt: skip
    (masks / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"b\.png of the group 'own' has no mask"):
        collect(chosen, workspace)
