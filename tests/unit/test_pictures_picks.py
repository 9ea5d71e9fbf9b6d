"""Picking out of a set: numbers, provenance, and that nothing is written over or added twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.files import read_json, sha256_file, write_json
from orchestrator.pictures import picks
from orchestrator.pictures.keeping import MANIFEST
from orchestrator.render.cache import PictureCache
from orchestrator.workspace import Workspace


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    """With the set `drawn` of four pictures, whose third has a proof in the cache."""
    workspace = Workspace(ugly_path)
    folder = workspace.picture_set("drawn")
    folder.mkdir(parents=True)
    entries: list[dict[str, Any]] = []
    for number in range(1, 5):
        path = folder / f"{number:04d}.png"
        path.write_bytes(b"picture %d" % number)
        entry = {"file": path.name, "sha256": sha256_file(path), "recipe_key": f"{number}" * 64, "seed": number}
        entries.append(entry | {"source": f"before/{path.name}"})
    write_json(folder / MANIFEST, {"set": "drawn", "made_by": "make", "pictures": entries})
    record = {"proof": {"lora_hashes": {"x": "abc"}}, "simulated": True, "seconds": 1.0}
    PictureCache(workspace.cache).put("3" * 64, b"picture 3", record)
    return workspace


def entries(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(workspace.picture_set(name) / MANIFEST)["pictures"]
    return found


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["3", "7-9"], ["3", "7", "9"]),
        (["9", "003"], ["3", "9"]),
        (["1,2", "mine.png"], ["1", "2", "mine.png"]),
        (["1-9", "2"], ["1", "2", "3", "7", "9"]),
    ],
)
def test_numbers_are_those_of_the_sheet(wanted: list[str], chosen: list[str]) -> None:
    assert picks.choose(wanted, ["1", "2", "3", "7", "9", "mine.png"]) == chosen


@pytest.mark.parametrize("wanted", [["10"], ["20-30"], ["x.png"], ["3", "0"]])
def test_numbers_that_are_not_there_are_named_with_those_that_are(wanted: list[str]) -> None:
    with pytest.raises(InputError, match=f"no picture {wanted[-1]} in it; it has 1-3, 9"):
        picks.choose(wanted, ["1", "2", "3", "9"])


def test_a_pick_keeps_everything_that_is_known(workspace: Workspace) -> None:
    done = picks.pick(workspace, "drawn", ["3"], "best 初音")
    assert done.added == (("0003.png", "0001.png"),)
    assert (done.folder / "0001.png").read_bytes() == b"picture 3"
    (entry,) = entries(workspace, "best 初音")
    assert (entry["seed"], entry["recipe_key"], entry["source"]) == (3, "3" * 64, "before/0003.png")
    assert entry["picked_from"] == "drawn/0003.png"
    assert entry["proof"] == {"lora_hashes": {"x": "abc"}}
    assert entry["simulated"] is True
    # Picked on from there, it still has its proof, whatever became of the cache.
    PictureCache(workspace.cache).picture("3" * 64).with_suffix(".json").unlink()
    picks.pick(workspace, "best 初音", ["1"], "showcase")
    assert entries(workspace, "showcase")[0]["proof"] == {"lora_hashes": {"x": "abc"}}


def test_nothing_is_added_twice_or_written_over(workspace: Workspace) -> None:
    picks.pick(workspace, "drawn", ["1-2"], "best")
    folder = workspace.picture_set("best")
    (folder / "0001.png").write_bytes(b"retouched by hand")
    (folder / "0003.png").write_bytes(b"put there by hand")
    done = picks.pick(workspace, "drawn", ["1-3"], "best")
    assert [old for old, _ in done.there] == ["0001.png", "0002.png"]
    assert done.added == (("0003.png", "0004.png"),)
    assert (folder / "0001.png").read_bytes() == b"retouched by hand"
    assert (folder / "0003.png").read_bytes() == b"put there by hand"
    assert [entry["file"] for entry in entries(workspace, "best")] == ["0001.png", "0002.png", "0004.png"]


def test_a_pick_that_was_thrown_away_comes_back_to_its_number(workspace: Workspace) -> None:
    picks.pick(workspace, "drawn", ["1-2"], "best")
    (workspace.picture_set("best") / "0001.png").unlink()
    assert picks.pick(workspace, "drawn", ["1", "4"], "best").added == (
        ("0001.png", "0001.png"),
        ("0004.png", "0003.png"),
    )


def test_a_pick_that_was_cut_off_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    written = picks.write_bytes

    def cut_off(path: Path, data: bytes) -> Path:
        if path.name == "0002.png":
            raise KeyboardInterrupt
        return written(path, data)

    monkeypatch.setattr(picks, "write_bytes", cut_off)
    with pytest.raises(KeyboardInterrupt):
        picks.pick(workspace, "drawn", ["1-3"], "best")
    monkeypatch.undo()
    picks.pick(workspace, "drawn", ["1-3"], "best")
    assert [(entry["file"], entry["seed"]) for entry in entries(workspace, "best")] == [
        ("0001.png", 1),
        ("0002.png", 2),
        ("0003.png", 3),
    ]
    assert len(list(workspace.picture_set("best").glob("*.png"))) == 3


def test_a_retouched_picture_is_picked_as_what_it_is(workspace: Workspace) -> None:
    (workspace.picture_set("drawn") / "0002.png").write_bytes(b"better")
    picks.pick(workspace, "drawn", ["2"], "best")
    (entry,) = entries(workspace, "best")
    assert entry["retouched"] is True
    assert entry["sha256"] == sha256_file(workspace.picture_set("best") / "0001.png")


@pytest.mark.parametrize(("name", "into", "error"), [("none", "best", WorkspaceError), ("drawn", "drawn", InputError)])
def test_what_cannot_be_picked_is_refused(workspace: Workspace, name: str, into: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        picks.pick(workspace, name, ["1"], into)


def test_a_drawn_set_is_not_picked_into(workspace: Workspace) -> None:
    write_json(workspace.picture_set("other") / MANIFEST, {"set": "other", "made_by": "make", "pictures": []})
    with pytest.raises(WorkspaceError, match="is drawn, not picked"):
        picks.pick(workspace, "drawn", ["1"], "other")
    # Sets made before `made_by` was written are drawn ones.
    write_json(workspace.picture_set("old") / MANIFEST, {"set": "old", "plan": "abc", "pictures": []})
    with pytest.raises(WorkspaceError, match="is drawn, not picked"):
        picks.pick(workspace, "drawn", ["1"], "old")
