"""Beginning votes, or going on with those that were begun."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.evaluation.records import read_observations, read_verdict
from orchestrator.evaluation.verdict import Verdict
from orchestrator.evaluation.votes.questions import DEFAULT_VOTES, choose_finalists, plan_questions
from orchestrator.evaluation.votes.record import Votes, read_votes, set_aside, votes_path, write_votes
from orchestrator.evaluation.votes.taste import Taste, taste_of
from orchestrator.workspace import Workspace


def begin(
    workspace: Workspace, version: str, *, count: int = DEFAULT_VOTES, finalists: int = 3
) -> tuple[Votes, Path, Path | None]:
    """The votes to give, where they are kept, and where votes on other finalists were put.

    Votes that were begun on the same verdict are gone on with. Raises `WorkspaceError` before there is a verdict,
    `InputError` when there is nothing to vote on.
    """
    verdict = read_verdict(workspace, version)
    if verdict is None:
        raise WorkspaceError("There is no verdict to vote on yet.", fix="Run `orchestrator evaluate` first.")
    path = votes_path(workspace, version)
    before = read_votes(path)
    if before is not None and before.made_for == _made_for(verdict):
        return before, path, None
    chosen = choose_finalists(verdict, finalists)
    # The same verdict gives the same questions: nothing but the voter decides.
    number = int(hashlib.sha256(_made_for(verdict).encode()).hexdigest()[:12], 16)
    questions = plan_questions(read_observations(workspace, version), chosen, count, number)
    moved = set_aside(path) if before is not None else None
    votes = Votes(tuple(questions), (), _made_for(verdict))
    write_votes(path, votes)
    return votes, path, moved


def taste(workspace: Workspace, version: str) -> Taste | None:
    """What a version's votes say; None when nobody voted, or the votes are on another verdict's finalists."""
    votes, verdict = read_votes(votes_path(workspace, version)), read_verdict(workspace, version)
    if votes is None or verdict is None or votes.made_for != _made_for(verdict):
        return None
    return taste_of(votes, read_observations(workspace, version), verdict.confidence)


def _made_for(verdict: Verdict) -> str:
    told = {
        "lora files": verdict.lora_files,
        "made from": verdict.fingerprint,
        "may be best": [cell.to_dict() for cell in verdict.may_be_best],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
