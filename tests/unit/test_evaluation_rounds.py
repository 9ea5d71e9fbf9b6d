"""The plan of the rounds, what is observed on them, and the files they leave."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from evaluation_worlds import observe_world, story

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.evaluation.identity import find_centres
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.records import (
    check_scouted_for,
    read_observations,
    read_scout,
    read_verdict,
    write_observations,
    write_scout,
    write_verdict,
)
from orchestrator.evaluation.rounds import Place, Shown, observe, plan_rounds
from orchestrator.evaluation.scout import Look, choose
from orchestrator.evaluation.weighing import judge
from orchestrator.profile.model import Evaluation, Round, VerdictPlan
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.vision.model import Face, Measurement
from orchestrator.workspace import Workspace

RAISED = Round(name="raised", prompt="TRIGGER, hand raised", expects="hand raised")
CROSSED = Round(name="crossed", prompt="TRIGGER, arms crossed", expects="arms crossed")


@dataclass(frozen=True)
class Trained:
    epoch: int
    sha256: str


@dataclass(frozen=True)
class Deployed:
    lora: Trained
    stem: str
    shown_hash: str


LORAS = [Deployed(Trained(e, f"{e:064x}"), f"m-{e:06d}", f"{e:012x}") for e in (10, 20)]


def make(prompt: str, seed: int, loras: tuple[LoraUse, ...]) -> Recipe:
    return Recipe(prompt, loras=loras, seed=seed)


def planned(weights: tuple[float, ...] = (0.5, 1.0), rounds: tuple[Round, ...] = (RAISED, CROSSED)) -> list[Place]:
    return plan_rounds(Evaluation(rounds=rounds, weights=weights), [1, 2, 3], LORAS, make, trigger="TRIGGER")


def test_every_cell_is_drawn_on_the_same_seeds_beside_a_baseline() -> None:
    places = planned()
    assert len(places) == (1 + 2 * 2) * 2 * 3
    by_cell: dict[CellId, set[tuple[str, int]]] = {}
    for place in places:
        by_cell.setdefault(place.cell, set()).add((place.round, place.seed))
    assert set(by_cell) == {BASELINE, *(CellId(e, w) for e in (10, 20) for w in (0.5, 1.0))}
    assert len({frozenset(drawn) for drawn in by_cell.values()}) == 1
    baseline = [p for p in places if p.cell.is_baseline]
    assert all(not p.recipe.loras and "TRIGGER" not in p.recipe.prompt for p in baseline)
    assert places[: len(baseline)] == baseline
    assert places[-1].recipe.loras == (LoraUse("m-000020", f"{20:064x}", f"{20:012x}", 1.0),)


def test_the_lora_file_changes_as_seldom_as_it_can() -> None:
    files = [place.cell.epoch for place in planned()]
    assert sum(a != b for a, b in pairwise(files)) == 2


def test_weight_0_is_the_baseline_and_is_not_drawn_twice() -> None:
    assert {p.cell for p in planned(weights=(0.0, 1.0))} == {BASELINE, CellId(10, 1.0), CellId(20, 1.0)}


@pytest.mark.parametrize(
    ("evaluation", "seeds", "said"),
    [
        (Evaluation(), [1], "no evaluation rounds"),
        (Evaluation(rounds=(RAISED,)), [], "no seeds"),
        (Evaluation(rounds=(RAISED,), epochs=(10, 30)), [1], "epoch 30"),
    ],
)
def test_a_test_of_nothing_says_what_is_missing(evaluation: Evaluation, seeds: list[int], said: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_rounds(evaluation, seeds, LORAS, make)
    assert said in caught.value.what
    assert caught.value.fix


def measured(
    person: float | None,
    *,
    roll: float = 2.0,
    face: bool = True,
    looked: bool = True,
    missing: str = "face too small",
) -> Measurement:
    return Measurement(
        "",
        512,
        512,
        2.5,
        0,
        0,
        face=Face(roll, 0, 0, (0, 0, 9, 9), 0.2, 2.0, "upper body") if face else None,
        identity=None if person is None else (person, *[0.0] * 127),
        missing="no face found" if not face else missing if person is None else "",
        embedding_name="dlib",
        backend="FaceMesh" if looked else "",
    )


DATASET = find_centres([("close-up", (x, *[0.0] * 127)) for x in (-0.1, 0.0, 0.1, 0.05)], "dlib")
KNOWN = frozenset({"arm_up", "crossed_arms"})


def shown(place: Place, *, person: float | None = None) -> Shown:
    """The base model draws a stranger at 0.6, each LoRA half-way to the person; every pose is obeyed."""
    draw = random.Random(f"{place.cell} {place.round} {place.seed}")
    at = (0.6 if place.cell.is_baseline else 0.3) + draw.gauss(0, 0.01)
    asked = {"raised": "arm_up", "crossed": "crossed_arms"}[place.round]
    tags = {"arm_up": 0.02, "crossed_arms": 0.01} | {asked: 0.9}
    return Shown("k", Path("p.png"), measured(at if person is None else person), tags)


def test_observations_hold_what_was_measured() -> None:
    places = planned()
    observed = observe(places, [shown(p) for p in places], [RAISED, CROSSED], DATASET, KNOWN, 0.35)
    assert observed.not_measured == ()
    for o in observed.observations:
        assert o.obedience == 0.9
        assert o.obeys is True
        assert o.face_found is True
        assert o.roll_deg == 2.0
        assert o.identity is not None
        assert o.identity == pytest.approx(0.0 if o.cell.is_baseline else 0.58, abs=0.08)
        assert Observation.from_dict(o.to_dict()) == o


def test_failures_and_lost_faces_are_kept_apart() -> None:
    places = planned()
    pictures = [shown(p) for p in places]
    pictures[10] = Shown(error="refused")
    pictures[11] = Shown("k", Path("p"), measured(None, face=False), {"arm_up": 0.5})
    pictures[12] = Shown("k", Path("p"), measured(None, face=False, looked=False), None)
    failed, lost, blind = observe(places, pictures, [RAISED, CROSSED], DATASET, KNOWN, 0.35).observations[10:13]
    assert (failed.drawn, failed.face_found, failed.obedience) == (False, None, None)
    assert (lost.drawn, lost.face_found, lost.identity) == (True, False, None)
    assert (blind.face_found, blind.obedience) == (None, None)


def test_a_round_whose_faces_are_too_small_to_recognise_has_no_identity() -> None:
    places = planned()
    pictures = [shown(p) for p in places]
    for i, place in enumerate(places):
        if place.round == "crossed" and not place.cell.is_baseline:
            pictures[i] = Shown("k", Path("p"), measured(None), pictures[i].tags)
    observed = observe(places, pictures, [RAISED, CROSSED], DATASET, KNOWN)
    assert observed.not_measured == (
        "Identity was not measured in crossed: 12 of its 15 faces are too small to be recognised.",
    )
    assert {o.round for o in observed.observations if o.identity is not None} == {"raised"}


def test_faces_that_were_not_compared_are_not_called_too_small() -> None:
    places = planned()
    pictures = [shown(p) for p in places]
    for i, place in enumerate(places):
        if place.round == "crossed" and not place.cell.is_baseline:
            why = "face too small" if place.seed == 1 else "not measured: dlib failed."
            pictures[i] = Shown("k", Path("p"), measured(None, missing=why), pictures[i].tags)
    observed = observe(places, pictures, [RAISED, CROSSED], DATASET, KNOWN)
    assert observed.not_measured == (
        "Identity was not measured in crossed: 8 of its 15 faces could not be compared (not measured: dlib failed), "
        "4 more are too small.",
    )


def test_a_tag_that_does_not_rise_when_asked_for_is_not_believed() -> None:
    """Taggers are trained on drawings; on photos some tags say the same whatever is asked."""
    places = planned()
    pictures = [
        Shown(s.key, s.path, s.measurement, {**(s.tags or {}), "arm_up": 0.4}) for s in (shown(p) for p in places)
    ]
    observed = observe(places, pictures, [RAISED, CROSSED], DATASET, KNOWN)
    assert {o.round for o in observed.observations if o.obedience is not None} == {"crossed"}
    assert observed.not_measured[0].startswith("Obedience was not measured in raised: without LoRA the tag for 'hand")


def test_two_embeddings_are_never_mixed() -> None:
    places = planned()
    other = find_centres([("close-up", (x, *[0.0] * 127)) for x in (0.0, 0.1, 0.2)], "arcface")
    observed = observe(places, [shown(p) for p in places], [RAISED, CROSSED], other, KNOWN)
    assert all(o.identity_distance is None for o in observed.observations)


def test_a_profile_without_faces_in_its_dataset_is_told_so() -> None:
    places = planned()
    observed = observe(places, [shown(p) for p in places], [RAISED, CROSSED], find_centres([]), KNOWN)
    assert observed.not_measured == (
        "Identity was not measured: no face in the dataset could be measured; at least 3 are needed.",
    )


def test_an_evaluation_is_found_again(ugly_path: Path) -> None:
    workspace = Workspace(ugly_path)
    assert (read_scout(workspace, "v4"), read_observations(workspace, "v4"), read_verdict(workspace, "v4")) == (
        None,
        [],
        None,
    )
    observations = observe_world(story)
    verdict = judge(observations, VerdictPlan())
    scouted = choose([1, 2], ["raised"], {("raised", 1): Look(True, 0.9), ("raised", 2): Look(False, 0.1)}, 2)
    write_scout(workspace, "v4", scouted, "made for these")
    check_scouted_for(workspace, "v4", "made for these")
    with pytest.raises(WorkspaceError, match="scouted for other rounds") as caught:
        check_scouted_for(workspace, "v4", "made for those")
    assert "`orchestrator scout`" in caught.value.fix
    write_observations(workspace, "v4", observations, DATASET)
    path = write_verdict(workspace, "v4", verdict)
    assert path == ugly_path / "evaluations" / "v4" / "verdict.json"
    assert read_scout(workspace, "v4") == scouted
    assert read_observations(workspace, "v4") == observations
    assert read_verdict(workspace, "v4") == verdict
    drawn = workspace.cache / "pictures" / "ke" / "key.png"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"a picture")
    moved = Observation(BASELINE, "raised", 1, key="key", path=str(ugly_path / "where it was" / "key.png"))
    write_observations(workspace, "v4", [moved], DATASET)
    assert [o.path for o in read_observations(workspace, "v4")] == [str(drawn)], "the workspace may be moved"
    path.write_text('{"outcome": "single best"}', encoding="utf-8")
    with pytest.raises(WorkspaceError, match=r"verdict\.json"):
        read_verdict(workspace, "v4")
