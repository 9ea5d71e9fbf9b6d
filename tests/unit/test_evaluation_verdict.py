"""Gates, the tie rule, the two sentences, trade-offs, and that nothing is made up."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from evaluation_worlds import ROUNDS, equal, observe_world, spike, story

from orchestrator.evaluation.observations import BASELINE, CellId, Observation
from orchestrator.evaluation.scores import score_observations, upright, value
from orchestrator.evaluation.verdict import Verdict
from orchestrator.evaluation.weighing import judge
from orchestrator.profile.model import VerdictPlan

PLAN = VerdictPlan()
BEST = CellId(50, 0.8)


def changed(
    observations: list[Observation], where: Callable[[Observation], bool], **fields: object
) -> list[Observation]:
    return [replace(o, **fields) if where(o) else o for o in observations]  # type: ignore[arg-type]


def test_one_clear_best_is_named_in_two_sentences() -> None:
    verdict = judge(observe_world(spike), PLAN)
    assert verdict.outcome == "may be best", "only a confirmation on fresh seeds names a single best"
    assert verdict.recommended == verdict.leader == BEST
    assert verdict.may_be_best == (BEST,)
    assert len(verdict.sentences) == 2
    assert verdict.text.startswith(
        "Use epoch 50 at weight 0.8. It leads 28 cells with these 8 seeds, but is not called the single best: "
        "the leader was not confirmed on fresh seeds; the smallest difference they could show is"
    )


@pytest.mark.parametrize("number", range(12))
def test_an_all_equal_world_is_never_given_a_single_winner(number: int) -> None:
    verdict = judge(observe_world(equal, number=number), PLAN)
    assert verdict.outcome == "may be best"
    assert len(verdict.may_be_best) >= 20
    assert "may be best with these 8 seeds" in verdict.sentences[1]
    assert re.search(r", and about \d+ more seeds would show one of 0\.01\.$", verdict.sentences[1])
    assert "worse" not in verdict.text


def test_the_storys_trade_offs_are_told_with_figures() -> None:
    verdict = judge(observe_world(story, never_obeys=1003), PLAN)
    low, high, lock, never = verdict.trade_offs
    assert low.startswith("Low weight obeys but is another face: at weight 0.4 obedience is 0.")
    assert high.startswith("A high epoch keeps the face but its training pose wins: at epoch 70 identity is 0.")
    assert lock.startswith("The head tilt is locked in 1 of 28 cells: at epoch 70 at weight 1 +1")
    assert never == "Seed 1003 never obeys hand raised, arms crossed, hand on hip, in any cell, LoRA or not."


def test_heads_that_lean_everywhere_are_told_even_if_not_locked() -> None:
    verdict = judge(observe_world(lambda c: (0.7, 0.7, 0.0 if c.is_baseline else 12.0, 6.0)), PLAN)
    (told,) = verdict.trade_offs
    assert told.startswith("Heads lean in 28 of 28 cells: at epoch ")
    assert verdict.baseline is not None
    assert verdict.baseline.roll_mean == pytest.approx(0.0, abs=4)
    assert verdict.baseline.roll_sd == pytest.approx(6.0, abs=3)


@pytest.mark.parametrize(("metric", "called"), [("yaw", "turn"), ("pitch", "nod")])
def test_a_turn_that_is_locked_in_is_told(metric: str, called: str) -> None:
    draw = random.Random(2)

    def turned(o: Observation) -> Observation:
        locked = o.cell.epoch == 70 and o.cell.weight == 1.0
        return replace(o, metrics={metric: draw.gauss(15, 1) if locked else draw.gauss(0, 7)})

    told = judge([turned(o) for o in observe_world(equal)], PLAN).trade_offs
    assert [words for words in told if words.startswith(f"The head's {called} is locked in 1 of 28 cells: at epoch 70")]
    free = [replace(o, metrics={metric: draw.gauss(0, 7)}) for n in range(6) for o in observe_world(equal, number=n)]
    assert not any(f"head's {called}" in words for words in judge(free[: len(free) // 6], PLAN).trade_offs)


def test_an_equal_world_has_no_trade_offs() -> None:
    told = sum(bool(judge(observe_world(equal, number=n), PLAN).trade_offs) for n in range(20))
    assert told <= 1


def test_the_truly_best_cell_is_among_those_that_may_be_best() -> None:
    def truth(cell: CellId) -> float:
        identity, obedience, roll, spread = story(cell)
        return PLAN.identity * identity + PLAN.obedience * obedience - PLAN.upright * (abs(roll) + spread / 2) / 20

    for number in range(10):
        observations = observe_world(story, number=number)
        verdict = judge(observations, PLAN)
        best = max((result.cell for result in verdict.cells), key=truth)
        assert best in verdict.may_be_best
        assert verdict.recommended is not None
        assert truth(best) - truth(verdict.recommended) < 0.05


def test_among_practical_ties_the_lowest_weight_then_the_earliest_epoch_is_used() -> None:
    cells = [CellId(e, w) for e in (20, 40, 60) for w in (0.6, 0.8)]
    observations = [
        replace(o, identity=0.8 if o.cell != CellId(60, 0.8) else 0.81, obedience=0.5, roll_deg=0.0)
        for o in observe_world(equal, cells=cells)
    ]
    verdict = judge(observations, PLAN)
    assert verdict.leader == CellId(60, 0.8)
    assert verdict.recommended == CellId(20, 0.6)
    assert verdict.sentences[0] == (
        "Use epoch 20 at weight 0.6: epoch 60 at weight 0.8 leads by only 0.005 and needs more weight."
    )


def test_a_leader_beyond_the_practical_tie_is_used_even_at_a_higher_weight() -> None:
    def truth(cell: CellId) -> tuple[float, float, float, float]:
        return (0.9, 0.8, 0.0, 3.0) if cell.weight == 1.0 else (0.6, 0.8, 0.0, 3.0)

    verdict = judge(observe_world(truth), PLAN)
    assert verdict.recommended is not None
    assert verdict.recommended.weight == 1.0
    careless = judge(observe_world(truth), VerdictPlan(practical_tie=0.5))
    assert careless.recommended == CellId(10, 0.4)
    assert len(careless.may_be_best) == 28


def test_cells_that_lose_faces_are_out_and_the_rate_is_shown() -> None:
    lost = {(name, 1000 + i) for i in range(2) for name in ROUNDS}
    observations = changed(
        observe_world(spike),
        lambda o: o.cell == BEST and (o.round, o.seed) in lost,
        face_found=False,
        identity=None,
        identity_distance=None,
        roll_deg=None,
    )
    verdict = judge(observations, PLAN)
    result = verdict.result(BEST)
    assert result is not None
    assert result.out == "a face in only 18 of 24 pictures (wanted: 80%)"
    assert result.faces is not None
    assert result.faces.low < 0.75 < result.faces.high
    assert BEST not in verdict.may_be_best
    assert "(1 not ranked)" in verdict.sentences[1]


def test_a_missing_face_counts_nothing_instead_of_being_left_out() -> None:
    """Averaging over the found faces only would favour the cell that loses the difficult ones."""
    observations = changed(
        observe_world(equal, cells=[BEST, CellId(10, 0.4)]),
        lambda o: o.cell == BEST and o.seed == 1000 and o.round == ROUNDS[0],
        face_found=False,
        identity=None,
        roll_deg=None,
    )
    scores = score_observations(observations)
    full, less = (scores.complete("identity", cell) for cell in (CellId(10, 0.4), BEST))
    assert full is not None
    assert less is not None
    assert less[0] < 0.75 * full[0]
    assert not judge(observations, PLAN).result(BEST).out  # type: ignore[union-attr]


def test_another_face_is_out_whatever_it_obeys() -> None:
    verdict = judge(observe_world(lambda c: (0.06, 0.95, 0.0, 6.0) if c.weight < 0.7 else (0.6, 0.3, 0.0, 6.0)), PLAN)
    assert all(cell.weight > 0.7 for cell in verdict.may_be_best)
    low = verdict.result(CellId(10, 0.4))
    assert low is not None
    assert low.out.startswith("another face: identity 0.0")


def test_pictures_that_are_not_there_take_their_cell_out() -> None:
    observations = changed(
        observe_world(spike),
        lambda o: o.cell == BEST and o.seed == 1002 and o.round == ROUNDS[1],
        error="A1111 answered with 500",
        identity=None,
        obedience=None,
        roll_deg=None,
        face_found=None,
    )
    assert judge(observations, PLAN).result(BEST).out == "1 of 24 pictures are not there"  # type: ignore[union-attr]
    absent = [o for o in observe_world(spike) if not (o.cell == BEST and o.seed == 1002)]
    assert judge(absent, PLAN).result(BEST).out == "3 of 24 pictures are not there"  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_never_reaches_the_ranking(bad: float) -> None:
    observations = changed(observe_world(spike), lambda o: o.cell == BEST and o.seed == 1001, obedience=bad)
    verdict = judge(observations, PLAN)
    assert verdict.result(BEST).out == "obedience could not be measured in some of its pictures"  # type: ignore[union-attr]
    assert verdict.recommended is not None
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_without_vision_nothing_is_recommended_for_obedience_alone() -> None:
    observations = changed(
        observe_world(spike), lambda o: True, identity=None, identity_distance=None, roll_deg=None, face_found=None
    )
    verdict = judge(observations, PLAN, not_measured=["Faces not measured: pip install -e '.[vision]'."])
    assert verdict.shares == {"obedience": 1.0}
    assert verdict.outcome == "not measured"
    assert verdict.recommended is None
    assert verdict.may_be_best == ()
    assert verdict.sentences[0] == "Cannot say which is best: whether it is the same person was not measured."
    assert "the LoRA that does least would win" in verdict.sentences[1]
    assert verdict.not_measured == (
        "Faces not measured: pip install -e '.[vision]'.",
        "The ranking is without identity: it was not measured.",
        "The ranking is without upright: it was not measured.",
    )
    assert verdict.result(BEST).identity is None  # type: ignore[union-attr]
    assert verdict.result(BEST).faces is None  # type: ignore[union-attr]


def test_with_nothing_measured_nothing_is_recommended() -> None:
    observations = changed(
        observe_world(spike),
        lambda o: True,
        identity=None,
        identity_distance=None,
        roll_deg=None,
        face_found=None,
        obedience=None,
        obeys=None,
    )
    verdict = judge(observations, PLAN)
    assert verdict.outcome == "not measured"
    assert verdict.recommended is None
    assert verdict.may_be_best == ()
    assert verdict.sentences[0].startswith("Not measured")
    assert all(result.utility is None for result in verdict.cells)


def test_no_observations_at_all() -> None:
    verdict = judge([], PLAN)
    assert verdict.outcome == "not measured"
    assert verdict.cells == ()


def test_a_round_that_could_not_be_judged_does_not_stop_the_others() -> None:
    observations = changed(observe_world(spike), lambda o: o.round == ROUNDS[2], obedience=None, obeys=None)
    verdict = judge(observations, PLAN)
    assert verdict.recommended == BEST
    assert (
        "The ranking takes obedience from hand raised, arms crossed only, not from hand on hip." in verdict.not_measured
    )


def test_where_nothing_passes_the_reason_and_a_way_out_are_said() -> None:
    verdict = judge(observe_world(lambda c: (0.03, 0.9, 0.0, 6.0)), PLAN)
    assert verdict.outcome == "none passes"
    assert verdict.sentences == (
        "No cell is recommended: none of 28 passes the gates (28 × another face).",
        "Train longer, raise the weights, or check that the trigger word is in the prompts.",
    )


def test_one_seed_says_nothing_about_chance() -> None:
    verdict = judge(observe_world(spike, seeds=1), PLAN)
    assert verdict.outcome == "may be best"
    assert len(verdict.may_be_best) == 28
    assert verdict.smallest_difference is None
    assert "nothing can be said about chance" in verdict.sentences[1]
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_the_only_cell_that_passes_is_not_called_the_best_by_comparison() -> None:
    verdict = judge(observe_world(spike, cells=[BEST]), PLAN)
    assert verdict.recommended == BEST
    assert "only one of 1 cells that passes the gates" in verdict.sentences[1]


def test_the_shares_of_the_profile_decide() -> None:
    def truth(cell: CellId) -> tuple[float, float, float, float]:
        return (0.9, 0.4, 0.0, 3.0) if cell.weight > 0.7 else (0.4, 0.9, 0.0, 3.0)

    observations = observe_world(truth)
    face = judge(observations, VerdictPlan(identity=1, obedience=0, upright=0))
    pose = judge(observations, VerdictPlan(identity=0, obedience=1, upright=0))
    assert face.recommended is not None
    assert pose.recommended is not None
    assert face.recommended.weight > 0.7 > pose.recommended.weight
    assert face.shares == {"identity": 1.0}


def test_the_order_of_observations_does_not_matter() -> None:
    observations = observe_world(story)
    shuffled = observations[:]
    random.Random(5).shuffle(shuffled)
    ours, theirs = (judge(each, PLAN) for each in (observations, shuffled))
    assert ours.recommended == theirs.recommended
    assert set(ours.may_be_best) == set(theirs.may_be_best)


def test_a_verdict_survives_json() -> None:
    for world in (story, equal, spike):
        verdict = judge(observe_world(world), PLAN, not_measured=["というのは"])
        assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict(), allow_nan=False))) == verdict


def test_a_lora_that_does_nothing_is_not_said_to_refuse() -> None:
    """Seeds are kept because their baseline obeyed; drawn anew, the same chance gives less. That is no fall."""
    draw = random.Random(3)
    candidates = observe_world(lambda c: (0.6, 0.6, 0.0, 6.0), seeds=40, cells=[BEST, CellId(10, 0.4)])
    noisy = [replace(o, obedience=min(1.0, max(0.0, 0.6 + draw.gauss(0, 0.25)))) for o in candidates]
    bare = {o.seed: 0.0 for o in noisy}
    for o in noisy:
        bare[o.seed] += (o.obedience or 0.0) if o.cell == BASELINE else 0.0
    kept = sorted(bare, key=lambda seed: -bare[seed])[:8]
    verdict = judge([o for o in noisy if o.seed in kept], PLAN)
    lucky, ours = verdict.baseline, verdict.result(BEST)
    assert lucky is not None and lucky.obedience is not None
    assert ours is not None and ours.obedience is not None
    assert lucky.obedience.mean > ours.obedience.mean + 0.1  # the regression to the mean that must not be told
    assert not [name for name in verdict.to_dict()["cells"][0] if "margin" in name]
    assert not any("refuse" in said or "without LoRA" in said for said in (*verdict.trade_offs, *verdict.sentences))


def test_a_verdict_with_a_figure_of_before_is_still_read() -> None:
    verdict = judge(observe_world(spike), PLAN)
    data = json.loads(json.dumps(verdict.to_dict()))
    data["cells"][0]["obedience_margin"] = {"mean": -0.1, "low": None, "high": None, "seeds": 1}
    assert Verdict.from_dict(data) == verdict


def test_a_face_that_nobody_compared_is_no_stranger() -> None:
    seen = Observation(BEST, "a", 1, roll_deg=0.0, face_found=True)
    assert value(replace(seen, missing="not measured: dlib is not installed"), "identity") is None
    assert value(seen, "identity") is None
    assert value(replace(seen, missing="face too small"), "identity") == 0.0
    assert value(replace(seen, missing="face too small"), "upright") == 1.0
    lost = replace(seen, face_found=False, roll_deg=None, missing="no face found")
    assert (value(lost, "identity"), value(lost, "upright")) == (0.0, 0.0)


@pytest.mark.parametrize("shares", [{"identity": 0.5, "obedience": 0.5, "upright": 0}, {"upright": 0, "identity": 0}])
def test_what_has_no_share_takes_no_cell_out(shares: dict[str, float]) -> None:
    plan = VerdictPlan(**{"obedience": 1, **shares})
    roll_unknown = changed(observe_world(spike), lambda o: o.cell == BEST and o.seed == 1001, roll_deg=math.nan)
    verdict = judge(roll_unknown, plan)
    assert not verdict.result(BEST).out  # type: ignore[union-attr]
    assert verdict.recommended == BEST
    no_identity = changed(
        observe_world(spike), lambda o: o.cell == BEST, identity=None, missing="not measured: dlib failed"
    )
    judged = judge(no_identity, plan)
    assert (judged.recommended == BEST) is (plan.identity == 0)


def test_an_untagged_picture_takes_no_cell_out_where_obedience_has_no_share() -> None:
    observations = changed(observe_world(spike), lambda o: o.cell == BEST and o.seed == 1001, obedience=None)
    verdict = judge(observations, VerdictPlan(identity=1, obedience=0, upright=0))
    assert verdict.recommended == BEST
    assert not verdict.result(BEST).pareto  # type: ignore[union-attr]


def test_upright_falls_evenly_to_nothing() -> None:
    assert [upright(r) for r in (0.0, 10.0, -10.0, 20.0, 90.0)] == [1.0, 0.5, 0.5, 0.0, 0.0]
    assert value(Observation(BEST, "a", 1, error="gone", identity=0.5), "identity") is None
