"""What the votes say: which finalist is liked best, how sure that is, and which metric predicts the taste.

Strengths are Bradley-Terry's: the chance that one cell wins against another is s₁ / (s₁ + s₂). A tie is half a vote for
each. Half a vote of each against each is added beforehand, so that a cell that never lost has a strength too. Votes on
one seed are not independent of each other, so intervals come from leaving out one seed after the other (jackknife) with
Student's t, not from the number of votes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.distributions import t_quantile
from orchestrator.evaluation.metrics import METRICS
from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.votes.questions import Question
from orchestrator.evaluation.votes.record import Answer, Votes

PRIOR = 0.5
_ROUNDS_OF_FIT = 500
#: Fewer decided votes than this say nothing of a metric.
FEWEST_DECIDED = 8
#: Two answers to the same pair agree in a third of all cases by chance alone (left, right, tie).
_SEEDS_NEEDED = 2


@dataclass(frozen=True)
class Between:
    """A number with its interval over seeds; None where fewer than two seeds leave chance unknown."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def percent(self) -> str:
        """`71 % (58 to 82 %)`."""
        if self.low is None or self.high is None:
            return f"{self.value:.0%}".replace("%", " %")
        return f"{self.value * 100:.0f} % ({max(0.0, self.low) * 100:.0f} to {min(1.0, self.high) * 100:.0f} %)"


@dataclass(frozen=True)
class Liked:
    """One finalist: the share of its pairs it wins (ties half), and its strength as the chance to win against an
    average finalist.
    """

    cell: CellId
    votes: int
    wins: float
    strength: Between


@dataclass(frozen=True)
class Agreement:
    """How often the picture that a metric prefers is the one that was voted for, of the votes both decided."""

    metric: str
    share: Between
    decided: int


@dataclass(frozen=True)
class Taste:
    """What the votes came to. `favourite` is set apart when it is shown to be liked better than each of the others."""

    liked: tuple[Liked, ...] = ()
    favourite: CellId | None = None
    set_apart: bool = False
    votes: int = 0
    ties: int = 0
    #: (answered alike, asked twice)
    consistency: tuple[int, int] = (0, 0)
    agreements: tuple[Agreement, ...] = ()
    sentences: tuple[str, ...] = ()


_Vote = tuple[Question, Answer]


def taste_of(votes: Votes, observations: Sequence[Observation] = (), confidence: float = 0.95) -> Taste:
    """What the votes given so far say. `observations`: of the pictures shown, for the agreement with the metrics."""
    given = list(zip(votes.questions, votes.answers, strict=False))
    first = [(question, answer) for question, answer in given if question.repeats is None]
    if not first:
        return Taste(sentences=("No vote was given yet.",))
    cells = tuple(dict.fromkeys(cell for question, _ in first for cell in (question.left, question.right)))
    order = sorted(cells, key=lambda cell: (-_strengths(first, cells)[cell], cell.weight, cell.epoch or 0))
    liked = tuple(_liked(cell, first, cells, confidence) for cell in order)
    apart = len(order) > 1 and all(_above(order[0], other, first, cells, confidence) for other in order[1:])
    agreements = _agreements(first, observations, confidence)
    alike = [
        _chosen(question, answer) == _chosen(votes.questions[question.repeats], votes.answers[question.repeats])
        for question, answer in given
        if question.repeats is not None and question.repeats < len(votes.answers)
    ]
    found = Taste(
        liked,
        order[0],
        apart,
        len(first),
        sum(answer == "tie" for _, answer in first),
        (sum(alike), len(alike)),
        agreements,
    )
    return Taste(**{**found.__dict__, "sentences": _sentences(found)})


def fit(wins: Mapping[tuple[CellId, CellId], float], cells: Sequence[CellId]) -> dict[CellId, float]:
    """Bradley-Terry strengths with geometric mean 1, from (winner, loser) → votes, by Hunter's MM iteration (2004)."""
    total = {
        (a, b): wins.get((a, b), 0.0) + wins.get((b, a), 0.0) + 2 * PRIOR for a, b in itertools.permutations(cells, 2)
    }
    won = {a: math.fsum(wins.get((a, b), 0.0) + PRIOR for b in cells if b != a) for a in cells}
    strength = dict.fromkeys(cells, 1.0)
    for _ in range(_ROUNDS_OF_FIT):
        new = {a: won[a] / math.fsum(total[a, b] / (strength[a] + strength[b]) for b in cells if b != a) for a in cells}
        scale = math.exp(math.fsum(map(math.log, new.values())) / len(cells))
        new = {a: value / scale for a, value in new.items()}
        moved = max(abs(new[a] - strength[a]) for a in cells)
        strength = new
        if moved < 1e-10:
            break
    return strength


def by_seed(votes: Sequence[_Vote], of: Callable[[Sequence[_Vote]], float], upper: float) -> tuple[float, float | None]:
    """(the number of all votes, half its interval): jackknife over seeds with the t quantile `upper`."""
    seeds = list(dict.fromkeys(question.seed for question, _ in votes))
    whole = of(votes)
    if len(seeds) < _SEEDS_NEEDED:
        return whole, None
    left_out = [of([vote for vote in votes if vote[0].seed != seed]) for seed in seeds]
    middle, count = math.fsum(left_out) / len(seeds), len(seeds)
    error = math.sqrt((count - 1) / count * math.fsum((value - middle) ** 2 for value in left_out))
    return whole, t_quantile(upper, count - 1) * error


def _strengths(votes: Sequence[_Vote], cells: Sequence[CellId]) -> dict[CellId, float]:
    wins: dict[tuple[CellId, CellId], float] = {}
    for question, answer in votes:
        for winner, loser, side in ((question.left, question.right, "left"), (question.right, question.left, "right")):
            won = 0.5 if answer == "tie" else float(answer == side)
            wins[winner, loser] = wins.get((winner, loser), 0.0) + won
    return fit(wins, cells)


def _liked(cell: CellId, votes: Sequence[_Vote], cells: Sequence[CellId], confidence: float) -> Liked:
    mine = [(q, a) for q, a in votes if cell in (q.left, q.right)]
    wins = math.fsum(0.5 if a == "tie" else float(_chosen(q, a) == cell) for q, a in mine)
    log, half = by_seed(votes, lambda some: math.log(_strengths(some, cells)[cell]), 0.5 + confidence / 2)
    chance = [None if value is None else 1 / (1 + math.exp(-value)) for value in _ends(log, half)]
    return Liked(cell, len(mine), wins, Between(1 / (1 + math.exp(-log)), *chance))


def _above(one: CellId, other: CellId, votes: Sequence[_Vote], cells: Sequence[CellId], confidence: float) -> bool:
    """Whether `one` is shown to be liked better; alpha is divided by the comparisons, and is two-sided because the
    favourite was not named before.
    """

    def gap(some: Sequence[_Vote]) -> float:
        strength = _strengths(some, cells)
        return math.log(strength[one] / strength[other])

    value, half = by_seed(votes, gap, 1 - (1 - confidence) / (2 * max(1, len(cells) - 1)))
    return half is not None and value - half > 0


def _agreements(
    votes: Sequence[_Vote], observations: Sequence[Observation], confidence: float
) -> tuple[Agreement, ...]:
    at = {(o.cell, o.round, o.seed): o for o in observations}
    found = []
    for metric in METRICS:
        if metric.more_is_better is None:
            continue
        decided: list[_Vote] = []
        right: dict[int, bool] = {}
        for question, answer in votes:
            left, right_ = (at.get((cell, question.round, question.seed)) for cell in (question.left, question.right))
            values = [None if o is None else o.metrics.get(metric.name) for o in (left, right_)]
            if answer == "tie" or values[0] is None or values[1] is None or values[0] == values[1]:
                continue
            prefers = "left" if (values[0] > values[1]) == metric.more_is_better else "right"
            decided.append((question, answer))
            right[id(question)] = prefers == answer
        if len(decided) < FEWEST_DECIDED:
            continue

        def share(some: Sequence[_Vote], right: Mapping[int, bool] = right) -> float:
            return sum(right[id(q)] for q, _ in some) / len(some) if some else 0.5

        value, half = by_seed(decided, share, 0.5 + confidence / 2)
        found.append(Agreement(metric.name, Between(value, *_ends(value, half)), len(decided)))
    return tuple(sorted(found, key=lambda each: -each.share.value))


def _sentences(taste: Taste) -> tuple[str, ...]:
    best, *others = taste.liked
    won = f"it won {best.wins:g} of {best.votes} votes"
    told = " and ".join(other.cell.label for other in others)
    said = [
        f"You like {best.cell.label} best: {won}, and the votes set it apart from {told}."
        if taste.set_apart
        else f"You prefer {best.cell.label} ({won}), but {taste.votes} votes do not set it apart from {told}."
    ]
    alike, twice = taste.consistency
    if twice:
        said.append(f"Of {twice} pairs shown twice you answered {alike} alike.")
    predicts = [a for a in taste.agreements if a.share.low is not None and a.share.low > 0.5]
    against = [a for a in taste.agreements if a.share.high is not None and a.share.high < 0.5]
    if predicts:
        listed = ", ".join(f"{a.metric} {a.share.percent}" for a in predicts)
        said.append(f"What predicts your taste: {listed}.")
    if against:
        said.append(f"You choose against {', '.join(f'{a.metric} {a.share.percent}' for a in against)}.")
    if taste.agreements and not predicts and not against:
        said.append("No metric is shown to predict your taste.")
    return tuple(said)


def _chosen(question: Question, answer: Answer) -> CellId | None:
    return None if answer == "tie" else question.left if answer == "left" else question.right


def _ends(value: float, half: float | None) -> tuple[float | None, float | None]:
    return (None, None) if half is None else (value - half, value + half)
