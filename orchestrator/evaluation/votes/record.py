"""The questions and the answers of a version's votes: evaluations/<version>/votes.json, written after each vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from orchestrator.errors import WorkspaceError
from orchestrator.evaluation.votes.questions import Question
from orchestrator.files import read_json, write_json
from orchestrator.files import replace as move
from orchestrator.workspace import Workspace

VOTES = "votes.json"
Answer = Literal["left", "right", "tie"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)


@dataclass(frozen=True)
class Votes:
    """Questions in their order and the answers given so far, one for each of the first questions.

    `made_for`: the LoRA files, rounds and finalists the questions were made for.
    """

    questions: tuple[Question, ...]
    answers: tuple[Answer, ...] = ()
    made_for: str = ""

    @property
    def done(self) -> bool:
        """Whether every question is answered."""
        return len(self.answers) >= len(self.questions)

    def with_answer(self, number: int, answer: Answer) -> Votes:
        """The votes with one more. Raises ValueError unless `number` is the question that is open now."""
        if number != len(self.answers) or self.done:
            raise ValueError(f"question {number} is not open")
        if answer not in ANSWERS:
            raise ValueError(f"{answer!r} is no answer")
        return replace(self, answers=(*self.answers, answer))

    def undone(self) -> Votes:
        """The votes without the last one."""
        return replace(self, answers=self.answers[:-1])


def votes_path(workspace: Workspace, version: str) -> Path:
    """Where a version's votes lie."""
    return workspace.evaluation(version) / VOTES


def write_votes(path: Path, votes: Votes) -> Path:
    """Keep the votes: on the disk when this returns."""
    value = {
        "made_for": votes.made_for,
        "questions": [question.to_dict() for question in votes.questions],
        "answers": list(votes.answers),
    }
    return write_json(path, value)


def read_votes(path: Path) -> Votes | None:
    """The votes kept there; None when nobody has voted. Raises `WorkspaceError` for a damaged file."""
    value = read_json(path)
    if value is None and not path.exists():
        return None
    try:
        return _parsed(value)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkspaceError(
            f"{path} does not hold what this program wrote there.",
            cause="It was changed by hand, or written by another version of this program.",
            fix="Move the file away and vote anew.",
        ) from error


def set_aside(path: Path) -> Path:
    """Move votes on other finalists out of the way, beside it under the next free number; votes are never deleted."""
    number = next(n for n in range(1, 10_000) if not path.with_name(f"votes.{n}.json").exists())
    kept = path.with_name(f"votes.{number}.json")
    move(path, kept)
    return kept


def _parsed(value: Any) -> Votes:
    questions = tuple(Question.from_dict(question) for question in value["questions"])
    answers: Sequence[str] = value["answers"]
    if len(answers) > len(questions) or any(answer not in ANSWERS for answer in answers):
        raise ValueError("the answers do not fit the questions")
    return Votes(questions, tuple(cast("Answer", answer) for answer in answers), str(value["made_for"]))
