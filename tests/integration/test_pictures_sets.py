"""Picture sets drawn, straightened and varied on the simulated server."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator import pipeline
from orchestrator.a1111.client import A1111
from orchestrator.a1111.models import Generated
from orchestrator.errors import InputError, ServerError, WorkspaceError
from orchestrator.files import read_json
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import Profile
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Renderer
from orchestrator.render.server import connect
from orchestrator.vision import backend
from orchestrator.workspace import Workspace
from tests.integration.conftest import StartServer
from tests.integration.faces import require_faces

pytestmark = pytest.mark.usefixtures("measuring_kept")

PROFILE = """
[generation]
width = 256
height = 256
steps = 4

[[pictures]]
name = "close-up"
prompt = "ai_model_v2, close-up"
count = 3
loras = [{ name = "ai_model_v2-000040", weight = 1.0 }]

[[pictures]]
name = "straight"
source = "close-up"
straighten = true

[[pictures]]
name = "varied"
source = "straight"
prompt = "ai_model_v2, close-up"
count = 6
changes = ["smile", "red sweater"]
"""


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    return Workspace(ugly_path / "ws")


def make(profile: Profile, workspace: Workspace, client: A1111, *only: str) -> dict[str, int]:
    renderer = pipeline.open_renderer(profile, workspace, client)
    return {made.name: made.drawn for made in pipeline.make_pictures(profile, workspace, renderer, only=only)}


def test_sets_know_where_every_picture_came_from(client: A1111, workspace: Workspace) -> None:
    require_faces()
    profile = parse_profile(PROFILE, "lora.toml")
    assert make(profile, workspace, client) == {"close-up": 3, "straight": 0, "varied": 6}
    straight = read_json(workspace.picture_set("straight") / "manifest.json")["pictures"]
    assert [entry["source"] for entry in straight] == [f"close-up/{n:04d}.png" for n in (1, 2, 3)]
    assert all(5 < entry["straightened_deg"] < 25 for entry in straight)
    varied = read_json(workspace.picture_set("varied") / "manifest.json")["pictures"]
    assert [entry["source"] for entry in varied] == [f"straight/{n:04d}.png" for n in (1, 2, 3, 1, 2, 3)]
    assert [entry["recipe"]["prompt"].rpartition(", ")[2] for entry in varied] == ["smile", "red sweater"] * 3
    assert varied[0]["recipe"]["init_sha256"] == straight[0]["sha256"]
    assert make(profile, workspace, client) == {"close-up": 0, "straight": 0, "varied": 0}


def test_what_a_person_deletes_stays_deleted(client: A1111, workspace: Workspace) -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    make(profile, workspace, client, "close-up")
    (workspace.picture_set("close-up") / "0002.png").unlink()
    make(profile, workspace, client, "close-up")
    assert not (workspace.picture_set("close-up") / "0002.png").exists()


def test_a_changed_plan_takes_its_old_pictures_away_and_leaves_other_files(client: A1111, workspace: Workspace) -> None:
    make(parse_profile(PROFILE, "lora.toml"), workspace, client, "close-up")
    folder = workspace.picture_set("close-up")
    (folder / "mine.png").write_bytes((folder / "0001.png").read_bytes())
    fewer = parse_profile(PROFILE.replace("count = 3", "count = 2"), "lora.toml")
    make(fewer, workspace, client, "close-up")
    assert sorted(path.name for path in folder.glob("*.png")) == ["0001.png", "0002.png", "mine.png"]


class FailsOnce(A1111):
    """Answers 500 for one seed."""

    failing = 2

    def txt2img(self, payload: dict[str, Any]) -> Generated:
        if payload["seed"] == self.failing:
            raise ServerError("/sdapi/v1/txt2img", 500, "OutOfMemoryError", "full")
        return super().txt2img(payload)


def make_incomplete(profile: Profile, workspace: Workspace, client: A1111) -> Path:
    """The set close-up without its second picture."""
    with FailsOnce(client.url) as failing:
        assert make(profile, workspace, failing, "close-up") == {"close-up": 2}
    return workspace.picture_set("close-up")


def by_file(folder: Path) -> dict[str, dict[str, Any]]:
    return {entry["file"]: entry for entry in read_json(folder / "manifest.json")["pictures"]}


def test_a_picture_that_failed_leaves_a_gap_and_comes_later(client: A1111, workspace: Workspace) -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    folder = make_incomplete(profile, workspace, client)
    assert {file: entry["seed"] for file, entry in by_file(folder).items()} == {"0001.png": 1, "0003.png": 3}
    third = (folder / "0003.png").read_bytes()
    assert make(profile, workspace, client, "close-up") == {"close-up": 1}
    assert [entry["seed"] for entry in by_file(folder).values()] == [1, 2, 3]
    assert (folder / "0003.png").read_bytes() == third
    assert read_json(folder / "manifest.json")["complete"]


def test_what_a_person_did_to_an_incomplete_set_lasts(client: A1111, workspace: Workspace) -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    folder = make_incomplete(profile, workspace, client)
    (folder / "0001.png").unlink()
    (folder / "0003.png").write_bytes(b"mine")
    for _ in range(2):
        make(profile, workspace, client, "close-up")
        assert sorted(path.name for path in folder.glob("*.png")) == ["0002.png", "0003.png"]
        assert (folder / "0003.png").read_bytes() == b"mine"
    entry = by_file(folder)["0003.png"]
    assert entry["retouched"] is True
    assert entry["sha256"] == hashlib.sha256(b"mine").hexdigest()


def test_a_retouched_picture_lasts_while_the_plan_asks_for_the_same_there(client: A1111, workspace: Workspace) -> None:
    make(parse_profile(PROFILE, "lora.toml"), workspace, client, "close-up")
    folder = workspace.picture_set("close-up")
    (folder / "0001.png").write_bytes(b"mine")
    (folder / "0002.png").unlink()
    (folder / "0003.png").write_bytes(b"")
    for count, there in ((4, ["0001.png", "0003.png", "0004.png"]), (3, ["0001.png", "0003.png"])):
        other = parse_profile(PROFILE.replace("count = 3", f"count = {count}"), "lora.toml")
        make(other, workspace, client, "close-up")
        assert sorted(path.name for path in folder.glob("*.png")) == there
        assert (folder / "0001.png").read_bytes() == b"mine"
        assert (folder / "0003.png").stat().st_size > 0, "an empty file is nobody's work"
        assert by_file(folder)["0001.png"]["retouched"] is True


@pytest.mark.parametrize(
    "change", [('prompt = "ai_model_v2, close-up"', 'prompt = "smile"'), ("count = 3", "count = 1\nfirst_seed = 3")]
)
def test_a_retouched_picture_is_kept_aside_when_the_plan_moves_on(
    client: A1111, workspace: Workspace, change: tuple[str, str]
) -> None:
    make(parse_profile(PROFILE, "lora.toml"), workspace, client, "close-up")
    folder = workspace.picture_set("close-up")
    retouched = ("0001.png", "0002.png")
    for file in retouched:
        (folder / file).write_bytes(b"mine " + file.encode())
    other = parse_profile(PROFILE.replace(*change, 1), "lora.toml")
    renderer = pipeline.open_renderer(other, workspace, client)
    (made,) = pipeline.make_pictures(other, workspace, renderer, only=["close-up"])
    assert b"mine" not in b"".join(path.read_bytes()[:4] for path in folder.glob("*.png"))
    for file in retouched:
        assert (folder / "retouched" / file).read_bytes() == b"mine " + file.encode()
        assert any(f"retouched/{file}" in note for note in made.notes)
    assert made.pictures == tuple(sorted(folder.glob("*.png")))


def test_what_cannot_be_straightened_yet_is_tried_again(
    client: A1111, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    with monkeypatch.context() as nothing_installed:
        nothing_installed.setattr(backend, "_package_folder", lambda name: None)
        assert make(profile, workspace, client) == {"close-up": 3, "straight": 0, "varied": 6}
        folder = workspace.picture_set("straight")
        assert not read_json(folder / "manifest.json")["complete"]
        (folder / "0002.png").unlink()
        make(profile, workspace, client)
        stamps = {path: path.stat().st_mtime_ns for path in (workspace.root / "pictures").rglob("*.*")}
        assert make(profile, workspace, client) == {"close-up": 0, "straight": 0, "varied": 0}
        assert {path: path.stat().st_mtime_ns for path in (workspace.root / "pictures").rglob("*.*")} == stamps
    require_faces()
    make(profile, workspace, client, "straight")
    entries = by_file(folder)
    assert read_json(folder / "manifest.json")["complete"]
    assert all(entries[file]["straightened_deg"] > 5 for file in ("0001.png", "0003.png"))
    assert sorted(path.name for path in folder.glob("*.png")) == ["0001.png", "0003.png"]


def test_a_set_varied_from_leaning_pictures_is_drawn_anew_once_they_can_be_straightened(
    client: A1111, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = parse_profile(PROFILE.replace('source = "straight"', 'source = "close-up"\nstraighten = true'), "x")
    sets = ("close-up", "varied")
    with monkeypatch.context() as nothing_installed:
        nothing_installed.setattr(backend, "_package_folder", lambda name: None)
        assert make(profile, workspace, client, *sets)["varied"] == 6
        assert make(profile, workspace, client, *sets)["varied"] == 0
    require_faces()
    assert make(profile, workspace, client, *sets)["varied"] == 6
    assert make(profile, workspace, client, *sets)["varied"] == 0


def test_another_checkpoint_draws_a_complete_set_anew(client: A1111, workspace: Workspace) -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    drawn = []
    for checkpoint in ("sandbox-v1-5", "sandbox-other", "sandbox-other"):
        renderer = Renderer(connect(client, checkpoint), PictureCache(workspace.cache))
        (made,) = pipeline.make_pictures(profile, workspace, renderer, only=["close-up"])
        drawn.append(made.drawn)
    assert drawn == [3, 3, 0]
    hashes = {entry["recipe"]["checkpoint_hash"] for entry in by_file(workspace.picture_set("close-up")).values()}
    assert hashes == {renderer.server.checkpoint_hash}


def test_another_lora_under_the_same_name_draws_a_complete_set_anew(
    start_server: StartServer, workspace: Workspace
) -> None:
    profile = parse_profile(PROFILE, "lora.toml")
    with A1111(start_server().url) as client:
        assert make(profile, workspace, client, "close-up") == {"close-up": 3}
        assert make(profile, workspace, client, "close-up") == {"close-up": 0}
        lora = Path(client.loras()[0].path)
        content = lora.read_bytes()
        lora.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert make(profile, workspace, client, "close-up") == {"close-up": 3}
        lora.unlink()
        client.refresh_loras()
        assert make(profile, workspace, client, "close-up") == {"close-up": 0}, "a file no longer needed may go"


def test_the_order_of_sets_is_asked_for(client: A1111, workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="has no pictures yet") as caught:
        make(parse_profile(PROFILE, "lora.toml"), workspace, client, "straight")
    assert 'pictures make "close-up"' in str(caught.value)


def test_a_lora_the_server_does_not_have_is_named_with_those_it_has(client: A1111, workspace: Workspace) -> None:
    wrong = parse_profile(PROFILE.replace("ai_model_v2-000040", "ai_model_v2"), "lora.toml")
    with pytest.raises(InputError, match="is not a LoRA file but the name inside ai_model_v2-000040"):
        make(wrong, workspace, client, "close-up")


def test_an_unknown_set_is_named(client: A1111, workspace: Workspace) -> None:
    with pytest.raises(InputError, match="no picture set 'cloze-up'"):
        make(parse_profile(PROFILE, "lora.toml"), workspace, client, "cloze-up")


def test_variations_of_somebody_else_are_set_aside_and_stay_so(client: A1111, workspace: Workspace) -> None:
    require_faces()
    text = PROFILE.replace('source = "straight"', 'source = "close-up"\ndenoising_strength = 0.9\nidentity_floor = 0.9')
    profile = parse_profile(
        text.replace('prompt = "ai_model_v2, close-up"\ncount = 6', 'prompt = "close-up"\ncount = 6'), "x"
    )
    renderer = pipeline.open_renderer(profile, workspace, client)
    _, made = pipeline.make_pictures(profile, workspace, renderer, only=["close-up", "varied"])
    folder = workspace.picture_set("varied")
    assert len(made.refused) > 0
    assert len(made.pictures) + len(made.refused) == 6
    for one in made.refused:
        assert one.path.parent == folder / "refused"
        assert one.likeness is None or one.likeness < 0.9
    assert (folder / "sheet" / "refused.png").is_file()
    assert any("stand beside their sources" in note for note in made.notes)

    back = made.refused[0]
    back.path.rename(folder / back.file)
    _, again = pipeline.make_pictures(profile, workspace, renderer, only=["close-up", "varied"])
    assert again.drawn == 0
    assert folder / back.file in again.pictures, "a person's word counts more"


def test_corners_are_drawn_by_the_prompt_and_nothing_else_is(client: A1111, workspace: Workspace) -> None:
    require_faces()
    text = PROFILE.replace('source = "straight"', 'source = "close-up"\nstraighten = true\ncorners = "outpaint"')
    profile = parse_profile(text, "x")
    assert make(profile, workspace, client, "close-up", "varied")["varied"] == 6
    for entry in by_file(workspace.picture_set("varied")).values():
        assert entry["recipe"]["mask_sha256"]
        sent = Image.open(entry["recipe"]["init_path"]).convert("RGB")
        mask = np.asarray(Image.open(entry["recipe"]["mask_path"]).convert("L"))
        drawn = np.asarray(Image.open(workspace.picture_set("varied") / entry["file"]).convert("RGB")).astype(int)
        kept = np.abs(drawn - np.asarray(sent).astype(int)).max(axis=2)[mask == 0]
        assert (kept > 24).mean() < 0.05, "the middle stays"
        assert (mask > 0).mean() < 0.4
