"""The story's first half on simulated portraits: leaning close-ups are found out, straightened, and then clean."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from orchestrator.dataset import check, collect
from orchestrator.files import picture_files
from orchestrator.pictures.straighten import straighten_files
from orchestrator.profile.model import Profile
from orchestrator.sandbox.imagine import Request, paint
from orchestrator.sandbox.learned import starter
from orchestrator.vision import measure
from orchestrator.workspace import Workspace
from tests.integration.faces import require_faces

require_faces()

pytestmark = pytest.mark.usefixtures("measuring_kept")

FRAMINGS = ("close-up", "upper body", "full body")
EACH = 6


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Pictures of three framings, drawn by a LoRA whose close-ups all lean."""
    space = Workspace(tmp_path_factory.mktemp("space") / "it's 初音")
    lora = starter(7, "ai_model_v2")
    for at, framing in enumerate(FRAMINGS):
        folder = space.picture_set(framing)
        folder.mkdir(parents=True)
        for number in range(EACH):
            prompt = f"ai_model_v2, {framing}, looking at camera"
            paint(Request(prompt, seed=100 * at + number, loras=((lora, 1.0),))).save(folder / f"{number:04d}.png")
    return space


def profile(close_up: str = "close-up") -> Profile:
    sets = ("close-up straight", *FRAMINGS)
    groups = [
        {
            "name": name,
            "caption": f"{{trigger}}, {name}",
            "sets": [close_up if name == "close-up" else name],
            "framing": name,
        }
        for name in FRAMINGS
    ]
    pictures = [{"name": name, "prompt": "x", "count": EACH} for name in sets]
    return Profile.model_validate({"pictures": pictures, "dataset": {"groups": groups}})


def test_the_lean_is_found_and_straightening_cleans_the_dataset(workspace: Workspace) -> None:
    asked = profile()
    pictures = collect(asked, workspace)
    measured = measure([picture.path for picture in pictures], workspace.cache)
    tilted = check(pictures, measured, asked.dataset.limits, asked.dataset.groups, trigger=asked.trigger)
    (lean,) = [one for one in tilted.findings if one.level == "locked in"]
    assert (lean.level, lean.kind, lean.group) == ("locked in", "lean", "close-up")
    assert lean.what.startswith(f"{EACH} of {EACH} heads lean clockwise")

    straight = workspace.picture_set("close-up straight")
    sources = picture_files(workspace.picture_set("close-up"))
    done = straighten_files([(source, straight / source.name) for source in sources], workspace.cache)
    assert all(one.angle and one.angle > 5 for one in done)
    assert all(one.after is not None and abs(one.after) <= 1.0 for one in done)
    for one in done:
        with Image.open(one.path) as picture:
            assert picture.size == (512, 512)

    asked = profile("close-up straight")
    pictures = collect(asked, workspace)
    measured = measure([picture.path for picture in pictures], workspace.cache)
    result = check(pictures, measured, asked.dataset.limits, asked.dataset.groups, trigger=asked.trigger)
    serious = [finding.kind for finding in result.findings if finding.level != "note"]
    assert set(serious) <= {"mark"}, "nothing but the word the sandbox writes into each"
    assert result.verdict == "ready"


def test_a_photograph_is_straightened_too(tmp_path: Path) -> None:
    from skimage import data

    whole = Image.fromarray(data.astronaut())
    files = []
    for angle in (-25, -12, 12, 25):
        # Turned within the photograph, so that the picture to straighten has no empty corners of its own.
        source = tmp_path / f"{angle}.png"
        whole.rotate(-angle, Image.Resampling.BICUBIC, center=(225, 130)).crop((105, 30, 345, 270)).save(source)
        files.append((source, tmp_path / "straight" / source.name))
    done = straighten_files(files, tmp_path / "cache")
    assert [one.angle is not None and round(one.angle) for one in done] == pytest.approx([-22, -9, 15, 28], abs=2)
    assert all(one.after is not None and abs(one.after) <= 1.0 for one in done)


def test_an_upright_picture_and_one_without_a_face_are_left_as_they_are(workspace: Workspace, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody.png"
    Image.radial_gradient("L").resize((256, 256)).convert("RGB").save(nobody)
    (done,) = straighten_files([(nobody, tmp_path / "out.png")], workspace.cache)
    assert (done.path, done.angle, done.note) == (nobody, None, "no face found")
    assert not (tmp_path / "out.png").exists()
