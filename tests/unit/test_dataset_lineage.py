from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.dataset import build, collect, lineage
from orchestrator.dataset.importing import carry_out, plan_import
from orchestrator.dataset.rebuilding import rebuild
from orchestrator.errors import DatasetError, WorkspaceError
from orchestrator.files import sha256_file, write_json
from orchestrator.profile.model import Profile
from orchestrator.workspace import Workspace


def profile(version: str = "v1", repeats: int = 1) -> Profile:
    groups = [
        {"name": "close-up", "caption": "{trigger}, close-up", "sets": ["faces"], "repeats": repeats},
        {"name": "own", "caption": "{trigger}, own"},
    ]
    return Profile.model_validate(
        {
            "subject": {"name": "ai_model", "version": version},
            "pictures": [{"name": "faces", "prompt": "a face", "count": 3}],
            "dataset": {"groups": groups},
        }
    )


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    """Two drawn pictures, one of them straightened, and an imported JPEG."""
    space = Workspace(ugly_path / "workspace")
    faces = space.picture_set("faces")
    faces.mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (64, 64), (number * 40, 90, 90)).save(faces / f"{number:04d}.png")
    write_faces(space, straightened=(None, 3.1))
    photo = ugly_path / "photos" / "p.jpg"
    photo.parent.mkdir()
    Image.new("RGB", (64, 64), "blue").save(photo)
    carry_out(space, plan_import(profile(), space, [photo], group="own"))
    build(profile(), space, collect(profile(), space))
    return space


def write_faces(space: Workspace, straightened: tuple[float | None, ...]) -> None:
    faces = space.picture_set("faces")
    use = {"stem": "ai_model_v0-000040", "weight": 0.8}
    entries = [
        {
            "file": path.name, "sha256": sha256_file(path), "recipe_key": f"key{number}", "seed": number,
            "recipe": {"seed": number, "prompt": "a face", "loras": [use]}, "straightened_deg": degrees,
        }
        for number, (path, degrees) in enumerate(zip(sorted(faces.glob("*.png")), straightened, strict=True), start=1)
    ]  # fmt: skip
    write_json(faces / "manifest.json", {"set": "faces", "pictures": entries})


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_picture_says_where_it_came_from(workspace: Workspace) -> None:
    rows = lineage.show(workspace, "v1")
    assert [row.origin for row in rows[:2]] == [
        'drawn with ai_model_v0-000040 at 0.8, seed 1, "a face"',
        'drawn with ai_model_v0-000040 at 0.8, seed 2, "a face", straightened by 3.1°',
    ]
    assert rows[2].origin.startswith("imported from ")
    assert rows[2].origin.endswith("p.jpg")
    assert {row.versions for row in rows} == {("v1",)}


def test_a_diff_tells_what_came_what_went_and_what_was_only_straightened(workspace: Workspace) -> None:
    faces = workspace.picture_set("faces")
    Image.new("RGB", (64, 64), (40, 200, 90)).save(faces / "0001.png")
    Image.new("RGB", (64, 64), (7, 7, 7)).save(faces / "0003.png")
    write_faces(workspace, straightened=(2.0, 3.1, None))
    (faces / "0002.txt").write_text("ai_model_v2, smiling\n", encoding="utf-8")
    shutil.rmtree(workspace.imported("own"))
    carry_out(workspace, plan_import(profile(), workspace, [picture(workspace.root.parent / "q.png")], group="own"))
    build(profile("v2", repeats=2), workspace, collect(profile("v2", repeats=2), workspace))

    rows = {(row.what, row.file): row for row in lineage.diff(workspace, "v1", "v2")}
    assert rows["changed", "2_close-up/0001.png"].after.endswith("straightened by 2.0°")
    assert rows["caption", "2_close-up/0002.png"].after == "ai_model_v2, smiling"
    assert ("added", "2_close-up/0003.png") in rows
    assert ("added", "1_own/0001.png") in rows
    assert ("removed", "1_own/0001.png") in rows
    assert rows["repeats", ""].before == "1"
    assert lineage.diff(workspace, "v2", "v2") == []
    with pytest.raises(WorkspaceError, match="v9 is not built"):
        lineage.diff(workspace, "v1", "v9")
    assert [row.versions for row in lineage.show(workspace, "v1")][1] == ("v1", "v2")


def picture(path: Path) -> Path:
    Image.new("RGB", (64, 64), (1, 2, 3)).save(path)
    return path


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(harm=st.lists(st.sampled_from(["picture", "caption", "config", "extra", "all"]), max_size=3, unique=True))
def test_a_damaged_dataset_is_rebuilt_bit_for_bit(workspace: Workspace, harm: list[str]) -> None:
    folder = workspace.dataset("v1")
    whole = everything(folder)
    kept = workspace.root.parent / "kept-manifest.json"
    shutil.copyfile(folder / "manifest.json", kept)
    for what in harm:
        target = {
            "picture": folder / "1_own" / "0001.png", "caption": folder / "1_own" / "0001.txt",
            "config": folder / "dataset.toml", "extra": folder / "1_own" / "mine.png",
        }.get(what)  # fmt: skip
        if target is None:
            shutil.rmtree(folder)
        elif folder.is_dir():
            target.write_bytes(b"damaged")
    rebuild(workspace, "v1", kept)
    assert everything(folder) == whole


def test_an_import_taken_back_is_found_where_it_was_imported_from(workspace: Workspace) -> None:
    whole = everything(workspace.dataset("v1"))
    shutil.rmtree(workspace.imported("own"))
    shutil.rmtree(workspace.dataset("v1") / "1_own")
    assert rebuild(workspace, "v1").made
    assert everything(workspace.dataset("v1")) == whole


def test_what_is_nowhere_any_more_is_named_with_how_it_was_made(workspace: Workspace) -> None:
    folder = workspace.dataset("v1")
    manifest = workspace.root.parent / "manifest.json"
    shutil.copyfile(folder / "manifest.json", manifest)
    shutil.rmtree(folder)
    shutil.rmtree(workspace.picture_set("faces"))
    with pytest.raises(DatasetError) as caught:
        rebuild(workspace, "v1", manifest)
    assert "2 of 3 pictures are missing" in str(caught.value)
    assert "drawn with ai_model_v0-000040 at 0.8, seed 2" in str(caught.value)
    assert not folder.exists()


def test_a_manifest_from_elsewhere_cannot_write_outside(workspace: Workspace) -> None:
    folder = workspace.dataset("v1")
    values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    values["pictures"][0]["file"] = "../../../gotcha.png"
    manifest = workspace.root.parent / "manifest.json"
    write_json(manifest, {**values, "fingerprint": "another"})
    with pytest.raises(DatasetError, match="outside its folder"):
        rebuild(workspace, "v1", manifest)
    assert not list(workspace.root.parent.rglob("gotcha.png"))


def test_shown_rows_become_plain_values(workspace: Workspace) -> None:
    rows = lineage.show(workspace, "v1")
    assert lineage.to_dict(rows)[0] == dataclasses.asdict(rows[0])
