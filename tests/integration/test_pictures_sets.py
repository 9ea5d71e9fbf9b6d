"""Picture sets drawn, straightened and varied on the simulated server."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import pipeline
from orchestrator.a1111.client import A1111
from orchestrator.errors import InputError, WorkspaceError
from orchestrator.files import read_json
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import Profile
from orchestrator.workspace import Workspace
from tests.integration.faces import require_faces

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


def test_the_order_of_sets_is_asked_for(client: A1111, workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="has no pictures yet") as caught:
        make(parse_profile(PROFILE, "lora.toml"), workspace, client, "straight")
    assert 'pictures make "close-up"' in str(caught.value)


def test_a_lora_the_server_does_not_have_is_named_with_those_it_has(client: A1111, workspace: Workspace) -> None:
    wrong = parse_profile(PROFILE.replace("ai_model_v2-000040", "ai_model_v2"), "lora.toml")
    with pytest.raises(InputError, match="it lists ai_model_v2-000040"):
        make(wrong, workspace, client, "close-up")


def test_an_unknown_set_is_named(client: A1111, workspace: Workspace) -> None:
    with pytest.raises(InputError, match="no picture set 'cloze-up'"):
        make(parse_profile(PROFILE, "lora.toml"), workspace, client, "cloze-up")
