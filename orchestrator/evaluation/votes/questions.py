"""Which pairs of pictures are shown, on which side, and which of them twice."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import InputError
from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.verdict import Verdict

FEWEST_FINALISTS, MOST_FINALISTS = 2, 4
#: Of the questions: asked once more with the sides changed, to see how consistent the voter is.
REPEATED = 0.1
#: Simulated: of four finalists whose best wins 7 of 10 pairs the right one leads in 95 % with 80 votes, of two in 99 %
#: with 40.
DEFAULT_VOTES = 60
#: A repeated pair comes back after at least so many others, or it would be remembered.
APART = 8


@dataclass(frozen=True)
class Question:
    """One pair: the same round and seed, two cells. `repeats` = the number of the question it asks again."""

    round: str
    seed: int
    left: CellId
    right: CellId
    left_path: str
    right_path: str
    repeats: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Question:
        """A question from `to_dict`'s values. Raises KeyError or TypeError for anything else."""
        return cls(**{**data, "left": CellId.from_dict(data["left"]), "right": CellId.from_dict(data["right"])})


def choose_finalists(verdict: Verdict, count: int = 3) -> tuple[CellId, ...]:
    """The cells worth voting on: the recommended one, the race's finalists, then those that may be best, best first.

    Raises `InputError` when there are fewer than two.
    """
    by_utility = sorted(
        (r for r in verdict.cells if not r.out and r.utility), key=lambda r: -(r.utility.mean if r.utility else 0.0)
    )
    wished = [
        *([verdict.recommended] if verdict.recommended else []),
        *([verdict.leader] if verdict.leader else []),
        *(verdict.race.finalists if verdict.race else ()),
        *(r.cell for r in by_utility if r.may_be_best),
    ]
    ranked = {r.cell for r in by_utility}
    found = [cell for cell in dict.fromkeys(wished) if cell in ranked][: min(max(count, 2), MOST_FINALISTS)]
    if len(found) < FEWEST_FINALISTS:
        raise InputError(
            "There is nothing to vote on.",
            cause=verdict.sentences[0] if not found else f"Only {found[0].label} passes the gates and may be best.",
            fix="Vote once at least two cells may be best; `orchestrator evaluate` says which.",
        )
    return tuple(found)


def plan_questions(
    observations: Sequence[Observation], finalists: Sequence[CellId], votes: int = DEFAULT_VOTES, number: int = 0
) -> list[Question]:
    """About `votes` questions in the order they are asked, a tenth of them repeats.

    Every pair of finalists is asked equally often and over as many seeds and rounds as there are. `number` decides
    sides and order. Raises `InputError` when the finalists have no round and seed in common.
    """
    if not FEWEST_FINALISTS <= len(finalists) <= MOST_FINALISTS:
        raise InputError(f"Votes compare two to four cells, not {len(finalists)}.")
    draw = random.Random(number)
    path = {(o.cell, o.round, o.seed): o.path for o in observations if o.drawn and o.path}
    pairs = list(itertools.combinations(finalists, 2))
    open_: list[list[tuple[CellId, CellId, str, int]]] = []
    for one, other in pairs:
        places = [(name, seed) for cell, name, seed in path if cell == one and (other, name, seed) in path]
        draw.shuffle(places)
        open_.append([(one, other, *place) for place in places])
    repeats = round(votes * REPEATED / (1 + REPEATED))
    asked = [each for turn in itertools.zip_longest(*open_) for each in turn if each is not None][: votes - repeats]
    if not asked:
        raise InputError(
            "The finalists have no picture of the same prompt and seed.", fix="Run `orchestrator evaluate` first."
        )
    draw.shuffle(asked)
    questions = []
    for one, other, name, seed in asked:
        left, right = (one, other) if draw.random() < 0.5 else (other, one)
        questions.append(Question(name, seed, left, right, path[left, name, seed], path[right, name, seed]))
    return _with_repeats(questions, min(repeats, len(questions)), draw)


def _with_repeats(questions: list[Question], count: int, draw: random.Random) -> list[Question]:
    """Some of the first questions once more, sides changed, scattered behind; `repeats` counts in the list given
    back.
    """
    apart = min(APART, max(1, len(questions) // 2))
    again = sorted(draw.sample(range(max(count, len(questions) - apart)), count)) if count else []
    # (place in the list, question): halves put a repeat behind the question of that place.
    placed: list[tuple[float, int, bool]] = [(float(i), i, False) for i in range(len(questions))]
    for index in again:
        placed.append((draw.randrange(index + apart, len(questions) + apart) + 0.5, index, True))
    placed.sort()
    at = {index: place for place, (_, index, is_repeat) in enumerate(placed) if not is_repeat}
    return [
        Question(q.round, q.seed, q.right, q.left, q.right_path, q.left_path, at[index]) if is_repeat else q
        for _, index, is_repeat in placed
        for q in (questions[index],)
    ]
