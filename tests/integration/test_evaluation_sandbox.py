"""Scouting, rounds and verdict against the simulated A1111: real sockets, real pictures, tags from what was drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.a1111.client import A1111
from orchestrator.errors import WorkspaceError
from orchestrator.evaluation.evaluate import Eyes, evaluate, scout_seeds, workspace_eyes
from orchestrator.evaluation.observations import BASELINE, CellId
from orchestrator.evaluation.price import price_rounds
from orchestrator.evaluation.records import read_observations, read_scout, read_verdict
from orchestrator.evaluation.scout_sheet import write_scout_sheet
from orchestrator.files import sha256_file
from orchestrator.pictures.recipes import make_recipe
from orchestrator.profile.model import Profile, Racing, VerdictPlan
from orchestrator.render.cache import PictureCache
from orchestrator.render.engine import Picture, Renderer
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import connect
from orchestrator.tagging.asking import DEEPDANBOORU
from orchestrator.workspace import Workspace
from tests.integration.faces import require_faces

pytestmark = pytest.mark.usefixtures("measuring_kept")

STARTER = "ai_model_v2-000040"


@dataclass(frozen=True)
class Trained:
    epoch: int
    sha256: str


@dataclass(frozen=True)
class Deployed:
    lora: Trained
    stem: str
    shown_hash: str


@pytest.fixture(scope="module")
def profile() -> Profile:
    return Profile.model_validate(
        {
            "subject": {"name": "ai_model", "version": "v2"},
            "generation": {"steps": 4},
            "scouting": {"candidates": 3, "keep": 2},
            "evaluation": {
                "weights": [0.4, 1.0],
                "rounds": [
                    {"name": "raised", "prompt": "{trigger}, upper body, hand raised", "expects": "hand raised"},
                    {"name": "hip", "prompt": "{trigger}, upper body, hand on hip", "expects": "hand on hip"},
                ],
            },
        }
    )


def starter(client: A1111) -> Deployed:
    entry = next(entry for entry in client.loras() if entry.name == STARTER)
    return Deployed(Trained(40, sha256_file(Path(entry.path))), STARTER, entry.metadata["sshs_model_hash"][:12])


def maker(profile: Profile, renderer: Renderer) -> Callable[[str, int, tuple[LoraUse, ...]], Recipe]:
    return lambda prompt, seed, loras: make_recipe(profile, renderer.server, prompt, seed, loras)


def blind(eyes: Eyes) -> Eyes:
    """The same eyes without the vision extra."""
    from orchestrator.vision.model import Measurement

    nothing = "not measured: pip install -e '.[vision]'"
    return Eyes(
        lambda paths, _: [Measurement("", 512, 512, 2.0, 0, 0, missing=nothing) for _ in paths],
        eyes.server,
        eyes.cache,
        eyes.journals,
    )


def test_from_scouting_to_a_verdict_that_is_found_again(
    profile: Profile, client: A1111, renderer: Renderer, ugly_path: Path
) -> None:
    require_faces()
    workspace = Workspace(ugly_path)
    eyes = workspace_eyes(workspace, client)
    make = maker(profile, renderer)
    scouted = scout_seeds(profile, workspace, make, renderer, eyes)
    assert scouted.measured
    assert read_scout(workspace, "v2") == scouted
    assert [rate.measured for rate in scouted.rates] == [3, 3]
    sheet = write_scout_sheet(scouted, workspace, "v2", simulated=True)
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 100
    assert all(renderer.cache.has(key) for each in scouted.candidates for key in each.pictures.values())
    assert all(set(each.pictures) == {"raised", "hip"} for each in scouted.candidates)

    deployed = starter(client)
    use = LoraUse(deployed.stem, deployed.lora.sha256, deployed.shown_hash, 1.0)
    references = [
        picture.path for picture in renderer.render([make("{trigger}, close-up", seed, (use,)) for seed in range(4)])
    ]
    measured: list[Path] = []
    verdict = evaluate(
        profile,
        workspace,
        [1000, 1001],
        [deployed],
        references,
        make,
        renderer,
        eyes,
        on_measured=measured.append,
    )
    assert len(measured) == 3 * 2 * 2
    assert read_verdict(workspace, "v2") == verdict
    observations = read_observations(workspace, "v2")
    assert {o.cell for o in observations} == {BASELINE, CellId(40, 0.4), CellId(40, 1.0)}
    assert all(o.face_found for o in observations)
    low, high = (verdict.result(CellId(40, weight)) for weight in (0.4, 1.0))
    assert low is not None
    assert high is not None
    assert low.identity is not None
    assert high.identity is not None
    assert verdict.baseline is not None
    assert verdict.baseline.identity is not None
    # The learned face comes with the weight: what the whole scale stands on.
    assert verdict.baseline.identity.mean < 0.35 < high.identity.mean
    assert low.identity.mean < high.identity.mean
    assert len(verdict.sentences) == 2

    # All of it again: nothing is drawn and nobody is asked.
    again = evaluate(profile, workspace, [1000, 1001], [deployed], references, make, renderer, eyes)
    assert again == verdict


def test_deepdanbooru_judges_where_there_is_no_tagger_and_the_options_come_back(
    profile: Profile, start_server: Callable[..., Any], ugly_path: Path
) -> None:
    server = start_server(tagger="none")
    workspace = Workspace(ugly_path)
    with A1111(server.url) as client:
        renderer = Renderer(connect(client), PictureCache(workspace.cache))
        before = client.options()
        eyes = blind(workspace_eyes(workspace, client))
        scouted = scout_seeds(profile, workspace, maker(profile, renderer), renderer, eyes)
        assert scouted.measured
        assert 0 < len(scouted.seeds) <= 2
        longer = profile.model_copy(update={"generation": profile.generation.model_copy(update={"steps": 5})})
        with pytest.raises(WorkspaceError, match="scouted for other rounds"):
            evaluate(longer, workspace, scouted.seeds, [starter(client)], [], maker(longer, renderer), renderer, eyes)
        verdict = evaluate(
            profile, workspace, scouted.seeds, [starter(client)], [], maker(profile, renderer), renderer, eyes
        )
        starter_file = starter(client).lora.sha256
        assert client.options() == before
        config = json.loads((server.home / "config.json").read_text(encoding="utf-8"))
        assert not config.get("interrogate_return_ranks", False)
        tagged = eyes.tags([next((workspace.cache / "pictures").rglob("*.png"))])
    assert tagged.tagger is not None
    assert tagged.tagger.model == DEEPDANBOORU
    assert verdict.shares == {"obedience": 1.0}
    assert verdict.lora_files == (starter_file,)
    kept = json.loads((workspace.evaluation("v2") / "observations.json").read_text(encoding="utf-8"))
    assert (kept["fingerprint"], kept["lora_files"]) == (verdict.fingerprint, [starter_file])
    assert "Faces not measured: pip install -e '.[vision]'." in verdict.not_measured
    assert any(result.obedience is not None for result in verdict.cells)


def test_a_race_that_was_stopped_goes_on_and_costs_what_was_said(
    profile: Profile, client: A1111, renderer: Renderer, ugly_path: Path
) -> None:
    by_pose = profile.model_copy(
        update={
            # Faces are not looked at here: the race goes by obedience alone.
            "verdict": VerdictPlan(identity=0, upright=0),
            "evaluation": profile.evaluation.model_copy(
                update={"racing": Racing(start=2, step=2, confirm=4, budget=60)}
            ),
        }
    )
    workspace = Workspace(ugly_path)
    eyes = blind(workspace_eyes(workspace, client))
    alone = Renderer(renderer.server, PictureCache(workspace.cache))
    make, seeds, fresh = maker(by_pose, alone), [2000, 2001, 2002, 2003], [2010, 2011, 2012, 2013]
    least, most = price_rounds(by_pose, seeds, fresh, [starter(client)], make, alone.cache)
    assert (least.pictures, least.there) == (3 * 2 * 2, 0)
    assert least.pictures < most.pictures <= 60

    class Stopped(Exception):
        """Ctrl-C, after so many pictures."""

    drawn: list[Path] = []

    def stop_at(number: int) -> Callable[[Picture], None]:
        def arrived(picture: Picture) -> None:
            if not picture.cached:
                drawn.append(picture.path)
            if len(drawn) == number:
                raise Stopped

        return arrived

    with pytest.raises(Stopped):
        evaluate(
            by_pose, workspace, seeds, [starter(client)], [], make, alone, eyes, fresh=fresh, on_picture=stop_at(15)
        )
    assert read_verdict(workspace, "v2") is None
    verdict = evaluate(
        by_pose, workspace, seeds, [starter(client)], [], make, alone, eyes, fresh=fresh, on_picture=stop_at(10_000)
    )
    race = verdict.race
    assert race is not None
    assert len(drawn) == len(set(drawn)) <= race.pictures <= most.pictures, "nothing was drawn twice"
    assert {o.seed for o in read_observations(workspace, "v2")} >= {*seeds[:2], *race.fresh}
    assert race.fresh == tuple(fresh)
    assert verdict.outcome in {"single best", "may be best"}
    assert (verdict.outcome == "single best") == race.confirmed
    assert read_verdict(workspace, "v2") == verdict
    (again, _) = price_rounds(by_pose, seeds, fresh, [starter(client)], make, alone.cache)
    assert again.to_draw == 0
