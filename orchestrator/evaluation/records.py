"""What an evaluation leaves in the workspace: evaluations/<version>/{scout,observations,verdict}.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import WorkspaceError
from orchestrator.evaluation.identity import Anchors
from orchestrator.evaluation.observations import Observation
from orchestrator.evaluation.scout import ScoutResult
from orchestrator.evaluation.verdict import Verdict
from orchestrator.files import read_json, write_json
from orchestrator.render.cache import PictureCache
from orchestrator.workspace import Workspace

SCOUT = "scout.json"
OBSERVATIONS = "observations.json"
VERDICT = "verdict.json"
Record = TypeVar("Record")


def write_scout(workspace: Workspace, version: str, result: ScoutResult, fingerprint: str) -> Path:
    """Keep the scouted seeds. `fingerprint`: what they were scouted for."""
    return write_json(workspace.evaluation(version) / SCOUT, {**result.to_dict(), "fingerprint": fingerprint})


def change_scout(workspace: Workspace, version: str, result: ScoutResult) -> Path:
    """Keep other seeds of the same scouting: what they were scouted for stays."""
    before = read_json(workspace.evaluation(version) / SCOUT)
    return write_scout(
        workspace, version, result, str(before.get("fingerprint", "")) if isinstance(before, dict) else ""
    )


def check_scouted_for(workspace: Workspace, version: str, fingerprint: str) -> None:
    """Raises `WorkspaceError` when the version's seeds were scouted for something else. Never scouted is no error."""
    kept = read_json(workspace.evaluation(version) / SCOUT)
    if isinstance(kept, dict) and kept.get("fingerprint") != fingerprint:
        raise WorkspaceError(
            "The seeds were scouted for other rounds.",
            cause="Since then the rounds' prompts, the scouting or generation settings, or the checkpoint changed.",
            fix="Run `orchestrator scout` again; pictures that are still right are not drawn again.",
        )


def write_observations(
    workspace: Workspace,
    version: str,
    observations: Sequence[Observation],
    anchors: Anchors,
    fingerprint: str = "",
    lora_files: Sequence[str] = (),
) -> Path:
    """Keep every observation, with the anchors its identity was scaled by and what was drawn."""
    value = {
        "fingerprint": fingerprint,
        "lora_files": list(lora_files),
        "anchors": anchors.to_dict(),
        "observations": [observation.to_dict() for observation in observations],
    }
    return write_json(workspace.evaluation(version) / OBSERVATIONS, value)


def write_verdict(workspace: Workspace, version: str, verdict: Verdict) -> Path:
    """Keep the verdict."""
    return write_json(workspace.evaluation(version) / VERDICT, verdict.to_dict())


def read_scout(workspace: Workspace, version: str) -> ScoutResult | None:
    """The scouted seeds of a version; None before it was scouted. Raises `WorkspaceError` for a damaged file."""
    return _read(workspace.evaluation(version) / SCOUT, ScoutResult.from_dict)


def read_observations(workspace: Workspace, version: str) -> list[Observation]:
    """The observations of a version; none before it was evaluated. Raises `WorkspaceError` for a damaged file.

    Of a workspace that was moved, pictures are found again by their keys.
    """
    path = workspace.evaluation(version) / OBSERVATIONS
    found = _read(path, lambda value: [Observation.from_dict(item) for item in value["observations"]]) or []
    cache = PictureCache(workspace.cache)
    return [_found_again(observation, cache) for observation in found]


def read_verdict(workspace: Workspace, version: str) -> Verdict | None:
    """The verdict on a version; None before there is one. Raises `WorkspaceError` for a damaged file."""
    return _read(workspace.evaluation(version) / VERDICT, Verdict.from_dict)


def _found_again(observation: Observation, cache: PictureCache) -> Observation:
    if not observation.path or not observation.key or Path(observation.path).is_file():
        return observation
    here = cache.picture(observation.key)
    return replace(observation, path=str(here)) if here.is_file() else observation


def _read(path: Path, parse: Callable[[Any], Record]) -> Record | None:
    value = read_json(path)
    try:
        return None if value is None else parse(value)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> WorkspaceError:
    return WorkspaceError(
        f"{path} does not hold what this program wrote there.",
        cause="It was changed by hand, or written by another version of this program.",
        fix="Delete the file and run `orchestrator evaluate` again; pictures and measurements are kept.",
    )
