"""Questions, strengths, and simulated voters whose taste is known."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.votes.questions import Question, choose_finalists, plan_questions
from orchestrator.evaluation.votes.record import Answer, Votes, read_votes, set_aside, write_votes
from orchestrator.evaluation.votes.taste import fit, taste_of
from orchestrator.evaluation.weighing import judge
from tests.evaluation.worlds import CELLS, PLAN, make_world

FINALISTS = (CellId(40, 0.8), CellId(50, 0.8), CellId(60, 0.6))


def pictures(finalists: tuple[CellId, ...] = FINALISTS, seeds: int = 20) -> list[Observation]:
    draw = random.Random(3)
    return [
        Observation(
            cell, name, seed, path=f"{cell.label} {name} {seed}.png",
            metrics={"identity": draw.random(), "obedience": draw.random(), "roll": draw.random()},
        )
        for cell in finalists for name in ("raised", "crossed", "hip") for seed in range(seeds)
    ]  # fmt: skip


Voter = Callable[[Question], Answer]


def voted(questions: list[Question], voter: Voter) -> Votes:
    return Votes(tuple(questions), tuple(voter(question) for question in questions))


def voter(liking: dict[CellId, float], number: int, tie: float = 0.1) -> Voter:
    """Someone who says `equally good` now and then, and else follows the strengths by chance."""
    draw = random.Random(number)

    def answer(question: Question) -> Answer:
        if draw.random() < tie:
            return "tie"
        left, right = liking[question.left], liking[question.right]
        return "left" if draw.random() < left / (left + right) else "right"

    return answer


def test_pairs_are_asked_equally_often_on_random_sides_and_a_tenth_twice() -> None:
    questions = plan_questions(pictures(), FINALISTS, 99, number=5)
    assert len(questions) == 99
    first = [q for q in questions if q.repeats is None]
    assert len(questions) - len(first) == 9
    pairs = Counter(frozenset((q.left, q.right)) for q in first)
    assert max(pairs.values()) - min(pairs.values()) <= 1
    left = Counter(q.left for q in first)
    assert all(0.25 < left[cell] / sum(cell in (q.left, q.right) for q in first) < 0.75 for cell in FINALISTS)
    for index, question in enumerate(questions):
        assert question.left_path == f"{question.left.label} {question.round} {question.seed}.png"
        if question.repeats is not None:
            asked = questions[question.repeats]
            assert (asked.left, asked.right) == (question.right, question.left), "the other way round"
            assert (asked.round, asked.seed) == (question.round, question.seed)
            assert index - question.repeats >= 8, "not at once"
    assert plan_questions(pictures(), FINALISTS, 99, number=5) == questions
    assert plan_questions(pictures(), FINALISTS, 99, number=6) != questions


@pytest.mark.parametrize("votes", [4, 5, 12, 60, 500])
@pytest.mark.parametrize("seeds", [1, 2, 20])
def test_there_are_no_more_questions_than_pictures_and_repeats_point_backwards(votes: int, seeds: int) -> None:
    questions = plan_questions(pictures(seeds=seeds), FINALISTS, votes)
    assert 0 < len(questions) <= votes
    assert all(q.repeats is None or q.repeats < index for index, q in enumerate(questions))
    assert len({(q.round, q.seed, frozenset((q.left, q.right))) for q in questions if q.repeats is None}) == sum(
        q.repeats is None for q in questions
    )


def test_only_finalists_with_pictures_in_common_are_asked() -> None:
    lone = [o for o in pictures() if o.cell == FINALISTS[0]]
    with pytest.raises(InputError, match="no picture of the same prompt and seed"):
        plan_questions(lone, FINALISTS)
    with pytest.raises(InputError, match="two to four"):
        plan_questions(pictures(), FINALISTS[:1])


def test_finalists_are_those_that_may_be_best() -> None:
    from orchestrator.evaluation.observations import BASELINE

    world = make_world(1, 6, "equal")
    verdict = judge(world.see(dict.fromkeys((*CELLS, BASELINE), range(4))), PLAN)
    chosen = choose_finalists(verdict, 4)
    assert len(chosen) == 4
    assert chosen[0] == verdict.recommended
    assert set(chosen) <= set(verdict.may_be_best)
    with pytest.raises(InputError, match="nothing to vote on"):
        choose_finalists(judge([], PLAN))


def test_strengths_are_those_of_the_textbook() -> None:
    """With two items the strength ratio is the ratio of votes, the prior's half votes among them."""
    a, b = FINALISTS[:2]
    strength = fit({(a, b): 29.5, (b, a): 9.5}, (a, b))
    assert strength[a] / strength[b] == pytest.approx(3.0, rel=1e-6)
    # Three items whose pairwise odds are consistent are recovered exactly but for the prior.
    true = dict(zip(FINALISTS, (4.0, 2.0, 1.0), strict=True))
    wins = {(x, y): 60_000 * true[x] / (true[x] + true[y]) for x in FINALISTS for y in FINALISTS if x != y}
    found = fit(wins, FINALISTS)
    assert found[FINALISTS[0]] / found[FINALISTS[2]] == pytest.approx(4.0, rel=1e-3)
    assert math.prod(found.values()) == pytest.approx(1.0)


def test_a_known_taste_is_found_and_mostly_set_apart() -> None:
    liking = dict(zip(FINALISTS, (1.0, 3.0, 1.0), strict=True))
    tastes = [taste_of(voted(plan_questions(pictures(), FINALISTS, 80, number=n), voter(liking, n))) for n in range(25)]
    assert sum(taste.favourite == FINALISTS[1] for taste in tastes) >= 23
    assert sum(taste.set_apart for taste in tastes) >= 8
    assert all(taste.favourite == FINALISTS[1] for taste in tastes if taste.set_apart)


@pytest.mark.parametrize("finalists", [2, 3, 4])
def test_who_likes_all_alike_is_hardly_ever_given_a_favourite(finalists: int) -> None:
    cells = (*FINALISTS, CellId(70, 0.4))[:finalists]
    shown = pictures(cells)
    apart = sum(
        taste_of(voted(plan_questions(shown, cells, 60, number=n), voter(dict.fromkeys(cells, 1.0), n))).set_apart
        for n in range(80)
    )
    # 5 in 100 at most, and three standard deviations of what chance does to 80 voters.
    assert apart <= 80 * 0.05 + 3 * math.sqrt(80 * 0.05 * 0.95)


def test_a_voter_who_goes_by_identity_is_told_so() -> None:
    shown = pictures()
    identity = {(o.cell, o.round, o.seed): o.metrics["identity"] for o in shown}
    draw = random.Random(1)

    def answer(question: Question) -> Answer:
        left, right = (identity[cell, question.round, question.seed] for cell in (question.left, question.right))
        better: tuple[Answer, Answer] = ("left", "right") if left > right else ("right", "left")
        return better[draw.random() > 0.85]

    taste = taste_of(voted(plan_questions(shown, FINALISTS, 90), answer), shown)
    agreements = {each.metric: each for each in taste.agreements}
    assert set(agreements) == {"identity", "obedience"}, "a metric that is neither good nor bad predicts nothing"
    assert 0.72 < agreements["identity"].share.value < 0.96
    low, high = agreements["obedience"].share.low, agreements["obedience"].share.high
    assert low is not None
    assert high is not None
    assert low < 0.5 < high
    (told,) = [sentence for sentence in taste.sentences if "predicts" in sentence]
    assert told.startswith("What predicts your taste: identity ")
    assert "obedience" not in told


def test_consistency_is_measured_on_the_repeats() -> None:
    questions = plan_questions(pictures(), FINALISTS, 88)
    always = voted(questions, lambda q: "left" if (q.left.epoch or 0) > (q.right.epoch or 0) else "right")
    assert taste_of(always).consistency == (8, 8)
    one_side = voted(questions, lambda question: "left")
    assert taste_of(one_side).consistency == (0, 8), "whoever always presses left says the opposite of himself"


def test_no_votes_and_one_seed_make_no_numbers() -> None:
    assert taste_of(Votes(tuple(plan_questions(pictures(), FINALISTS)))).sentences == ("No vote was given yet.",)
    lone = plan_questions(pictures(seeds=1), FINALISTS, 8)
    taste = taste_of(voted(lone, lambda question: "left"))
    assert not taste.set_apart
    assert all(one.strength.low is None for one in taste.liked)


def test_votes_are_kept_and_found_again(ugly_path: Path) -> None:
    path = ugly_path / "votes.json"
    assert read_votes(path) is None
    votes = Votes(tuple(plan_questions(pictures(), FINALISTS, 20)), (), "this verdict").with_answer(0, "tie")
    write_votes(path, votes)
    assert read_votes(path) == votes
    with pytest.raises(ValueError, match="not open"):
        votes.with_answer(0, "left")
    assert votes.undone().answers == ()
    kept = set_aside(path)
    assert read_votes(kept) == votes
    assert read_votes(path) is None
    path.write_text('{"questions": [], "answers": ["left"], "made_for": ""}', encoding="utf-8")
    with pytest.raises(WorkspaceError, match="does not hold"):
        read_votes(path)
