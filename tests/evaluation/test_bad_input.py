"""What cannot be judged gets a plain sentence, and no number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.evaluation.identity import find_centres, two_people
from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.racing import run_race
from orchestrator.evaluation.rounds import Place, Shown, observe
from orchestrator.evaluation.scout import Look, choose
from orchestrator.evaluation.verdict import Verdict
from orchestrator.evaluation.weighing import judge
from orchestrator.profile.model import Racing, Round, VerdictPlan
from orchestrator.render.recipe import Recipe
from orchestrator.vision.model import Face, Measurement
from tests.evaluation.worlds import CELLS, PLAN, make_world

SEEDS, FRESH = tuple(range(8)), tuple(range(100, 108))


def raced(
    see: object, cells: Sequence[CellId] = CELLS, seeds: Sequence[int] = SEEDS, fresh: Sequence[int] = FRESH
) -> Verdict:
    verdict = run_race(cells, seeds, fresh, 3, Racing(confirm=8), PLAN, see)  # type: ignore[arg-type]
    json.dumps(verdict.to_dict(), allow_nan=False)
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict
    return verdict


def test_a_prompt_that_no_seed_obeys_is_named_and_no_lora_is_blamed() -> None:
    looked = {(name, seed): Look(name == "hip" or seed < 3, 0.5) for name in ("hip", "up") for seed in range(12)}
    looked |= {("handstand", seed): Look(False, 0.01) for seed in range(12)}
    result = choose(range(12), ["hip", "up", "handstand"], looked, keep=2)
    (said,) = [words for words in result.sentences if words.startswith("No seed obeys")]
    assert said.startswith("No seed obeys handstand (0 of 12, at most 24%), without any LoRA: the checkpoint")
    assert result.seeds == (0, 1)
    assert result.reserve == (2,)


def test_where_no_seed_obeys_any_round_none_is_kept() -> None:
    result = choose(range(5), ["handstand"], {("handstand", seed): Look(False, 0.0) for seed in range(5)}, keep=2)
    assert result.seeds == ()
    assert any("No seed obeys handstand" in words for words in result.sentences)


def place(cell: CellId, name: str, seed: int) -> Place:
    return Place(cell, name, seed, Recipe.__new__(Recipe))


def test_a_tagger_without_the_tags_of_a_round_is_said_to_have_none() -> None:
    rounds = [Round(name="hip", prompt="a", expects="hand on hip"), Round(name="up", prompt="b", expects="hand raised")]
    places = [place(cell, r.name, seed) for cell in (BASELINE, CellId(10, 0.8)) for r in rounds for seed in range(4)]
    seen = Measurement("", 8, 8, 2.0, 0, 0)
    shown = [Shown("k", None, seen, {"arm_up": 0.9 if p.round == "up" else 0.1}) for p in places]
    found = observe(places, shown, rounds, find_centres([]), frozenset({"arm_up"}))
    assert (
        "Obedience was not measured in hip: the tagger knows none of the tags for 'hand on hip'." in found.not_measured
    )
    assert all((o.obedience is None) == (o.round == "hip") for o in found.observations)


def halved(observations: Sequence[Observation]) -> list[Observation]:
    return [
        replace(o, face_found=False, identity=None, roll_deg=None, metrics={**o.metrics, "face missing": 1.0})
        if o.seed % 2
        else replace(o, metrics={**o.metrics, "face missing": 0.0})
        for o in observations
    ]


def test_no_face_in_half_of_the_pictures_with_and_without_lora() -> None:
    world = make_world(1, 0)
    verdict = raced(lambda asked: halved(world.see(asked)))
    assert verdict.recommended is None
    assert verdict.outcome == "none passes"
    assert verdict.sentences[0].startswith("No cell is recommended: none of 28 passes the gates (28 × faces lost)")
    assert verdict.sentences[1].startswith("Without LoRA a face was found in only ")
    for result in verdict.cells:
        assert result.faces is not None
        assert result.out == f"a face in only {result.faces.count} of {result.faces.of} pictures (wanted: 80%)"


def test_no_face_in_half_of_one_lora_s_pictures_takes_only_that_out() -> None:
    world = make_world(1, 0)
    lost = CellId(70, 1.0)

    def see(asked: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        found = world.see(asked)
        return [*halved([o for o in found if o.cell == lost]), *(o for o in found if o.cell != lost)]

    verdict = raced(see)
    result = verdict.result(lost)
    assert result is not None
    assert result.out.startswith("a face in only ")
    assert verdict.recommended not in {None, lost}
    assert "(1 not ranked)" in verdict.sentences[1]


def test_one_epoch_only_is_judged_by_weight_alone() -> None:
    world = make_world(1, 0)
    cells = [cell for cell in CELLS if cell.epoch == 40]
    verdict = raced(world.see, cells)
    assert verdict.recommended is not None
    assert verdict.recommended.epoch == 40
    assert not any("epoch" in words.lower() and "high epoch" in words.lower() for words in verdict.trade_offs)
    one = raced(world.see, cells[:1])
    assert one.recommended == cells[0]
    assert "single best" not in one.sentences[1].replace("not called the single best", "")
    assert "only one" in one.text or "nothing to compare it with" in one.text


def test_one_seed_only_says_nothing_about_chance() -> None:
    world = make_world(1, 2, "spike")
    verdict = raced(world.see, seeds=(5,), fresh=())
    assert verdict.outcome == "may be best"
    assert len(verdict.may_be_best) == 28
    assert "nothing can be said about chance" in verdict.sentences[1]
    assert verdict.smallest_difference is None
    assert verdict.seeds_needed is None
    for result in verdict.cells:
        assert result.identity is not None
        assert result.identity.low is None


def faces_of(people: Sequence[tuple[float, int]], framing: str = "close-up") -> list[tuple[str, tuple[float, ...]]]:
    """(where the person lies, how many pictures): embeddings that scatter as a person's do."""
    draw = np.random.default_rng(4)
    return [
        (framing, tuple((np.eye(128)[0] * at + draw.normal(0, 0.01, 128)).tolist()))
        for at, count in people
        for _ in range(count)
    ]


@pytest.mark.parametrize("counts", [(8, 8), (10, 3), (2, 9)])
def test_references_of_two_people_give_no_identity(counts: tuple[int, int]) -> None:
    faces = faces_of([(0.0, counts[0]), (0.6, counts[1])])
    anchors = find_centres(faces, "e")
    assert not anchors.centres
    first, second = sorted(counts)
    assert f"look like two people ({first} and {second} pictures)" in anchors.not_measured[""] or (
        f"look like two people ({second} and {first} pictures)" in anchors.not_measured[""]
    )
    assert anchors.identity("any", 0.1) is None


def test_one_person_in_two_framings_or_with_one_odd_picture_is_one_person() -> None:
    assert two_people(faces_of([(0.0, 10)])) is None
    assert two_people([*faces_of([(0.0, 6)]), *faces_of([(0.4, 6)], "full body")]) is None
    assert two_people(faces_of([(0.0, 9), (0.6, 1)])) is None
    spread = np.linspace(0, 0.5, 12)
    assert two_people([f for at in spread for f in faces_of([(float(at), 1)])]) is None


def test_a_verdict_on_references_of_two_people_recommends_nothing() -> None:
    world = make_world(1, 0)
    why = "Identity was not measured: the dataset's faces look like two people (5 and 5 pictures)."
    found = [replace(o, identity=None) for o in world.see(dict.fromkeys((BASELINE, *CELLS), SEEDS))]
    verdict = judge(found, VerdictPlan(), not_measured=(why,))
    assert verdict.recommended is None
    assert verdict.sentences[0] == "Cannot say which is best: whether it is the same person was not measured."
    assert why in verdict.not_measured
    assert all(result.identity is None and result.utility is not None for result in verdict.cells)


def black(o: Observation) -> Observation:
    return replace(o, face_found=False, identity=None, roll_deg=None, obedience=0.0, metrics={"collapse": 1.0})


def test_a_lora_that_draws_black_is_out_as_that_and_is_drawn_no_further() -> None:
    world = make_world(1, 0)

    def see(asked: Mapping[CellId, Sequence[int]]) -> list[Observation]:
        return [black(o) if o.cell.weight == 1.0 else replace(o, metrics={"collapse": 0.0}) for o in world.see(asked)]

    verdict = raced(see)
    for result in verdict.cells:
        if result.cell.weight == 1.0:
            assert result.out == f"black, flat or noise in {4 * len(world.rounds)} of {4 * len(world.rounds)} pictures"
            assert result.identity is not None
            assert result.identity.mean == 0.0
    assert verdict.recommended is not None
    assert verdict.recommended.weight < 1.0


def test_where_everything_is_black_the_checkpoint_is_told_from_the_lora() -> None:
    world = make_world(1, 0)
    lora = raced(lambda asked: [o if o.cell.is_baseline else black(o) for o in world.see(asked)])
    assert lora.recommended is None
    assert lora.sentences[1].startswith("The LoRA files are broken or far too strong")
    everything = raced(lambda asked: [black(o) for o in world.see(asked)])
    assert everything.sentences[1].startswith("The pictures without LoRA are black, flat or noise too")
    assert any(words.startswith("Collapse is left out") for words in everything.not_measured)


def test_a_face_of_nobody_is_no_copy() -> None:
    """A picture without face has no identity to compare, however many training faces there are."""
    face = Face(0, 0, 0, (0, 0, 9, 9), 0.2, 2.0, "upper body")
    training = [Measurement("", 9, 9, 2.0, 0, 0, face=face, identity=(float(i),), embedding_name="e") for i in range(4)]
    places = [place(CellId(10, 0.8), "r", 0)]
    shown = [Shown("k", None, Measurement("", 9, 9, 2.0, 0, 0, backend="mesh"))]
    rounds = [Round(name="r", prompt="a", expects="smile")]
    (seen,) = observe(places, shown, rounds, find_centres([]), training=training).observations
    assert "copied face" not in seen.metrics
    assert seen.metrics["face missing"] == 1.0
