"""From a workspace to jobs: everything they need is frozen and looked at now, while somebody is awake."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from orchestrator.errors import InputError
from orchestrator.files import storage_error
from orchestrator.jobs import windows
from orchestrator.jobs.model import NewJob
from orchestrator.jobs.store import Store
from orchestrator.night import estimates, frozen
from orchestrator.night.kinds import DRAWING, Kind
from orchestrator.profile.load import parse_profile
from orchestrator.profile.model import Profile
from orchestrator.settings import Settings
from orchestrator.workspace import Workspace

#: How often a job that failed is tried again unless the command line says otherwise.
RETRIES = 2


@dataclass(frozen=True)
class Asked:
    """What the command line said of when and how."""

    priority: int = 0
    window: str = ""
    at: float | None = None
    after: tuple[int, ...] = ()
    retries: int = RETRIES
    names: tuple[str, ...] = ()
    run: str = ""
    checkpoint: str = ""
    anyway: bool = False
    #: Build the dataset first, from the pictures there are then.
    build: bool = False
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A workspace with its profile as it is now."""

    workspace: Workspace
    text: str
    profile: Profile
    settings: Settings


def read_source(workspace: Workspace, settings: Settings) -> Source:
    """Raises `ProfileError`, `StorageError`."""
    from orchestrator.training.preset import effective

    try:
        text = workspace.profile.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise storage_error(error, workspace.profile) from error
    profile = parse_profile(text, workspace.profile)
    effective(profile.training, workspace.profile)
    return Source(workspace, text, profile, settings)


def jobs(kind: str, source: Source, asked: Asked, store: Store, now: float) -> list[NewJob]:
    """The jobs to add, later ones waiting for earlier ones. Raises `InputError` for what would fail at night."""
    _refuse_window(asked, now)
    if kind == "run":
        return chain(source, asked, store)
    return [_job(kind, source, asked, store)]


def _refuse_window(asked: Asked, now: float) -> None:
    spans = windows.parse(asked.window)
    begin = max(now, asked.at or now)
    if windows.next_opening(spans, begin) is None:
        raise InputError(f"The window {asked.window!r} never opens.", fix="`orchestrator queue add --help` shows some.")


def chain(source: Source, asked: Asked, store: Store) -> list[NewJob]:
    """The whole pipeline of a profile, one job for each stage that it asks for."""
    profile = source.profile
    wanted: dict[Kind, bool] = {
        "pictures": bool(profile.pictures),
        "train": True,
        "deploy": True,
        "grid": bool(profile.grids),
        "scout": bool(profile.evaluation.rounds),
        "evaluate": bool(profile.evaluation.rounds),
        "report": True,
    }
    name = f"{profile.run_name} {uuid.uuid4().hex[:6]}"
    made: list[NewJob] = []
    for kind, is_wanted in wanted.items():
        if not is_wanted:
            continue
        # Without groups there is nothing to build from: the dataset is one that was made by hand.
        build = kind == "train" and bool(profile.dataset.groups)
        one = _job(kind, source, replace(asked, build=build, names=()), store)
        needs = (*asked.after, -len(made)) if made else asked.after
        made.append(replace(one, needs=needs, chain=name))
    return made


def _job(kind: str, source: Source, asked: Asked, store: Store) -> NewJob:
    if kind not in get_args(Kind):
        raise InputError(f"There is no job {kind!r}.", fix=f"There are: {', '.join(get_args(Kind))}, run.")
    profile, workspace = source.profile, source.workspace
    _refuse_names(kind, profile, asked.names)
    options: dict[str, Any] = {
        "names": list(asked.names), "run": asked.run, "build": asked.build, "anyway": asked.anyway,
    }  # fmt: skip
    dataset = ""
    units = None
    if kind == "train":
        options["checkpoint"] = str(_checkpoint(source, asked.checkpoint))
        steps = _steps(source, asked, Path(options["checkpoint"]))
        units = steps
        dataset = "" if asked.build else frozen.manifest_sha256(workspace, profile.subject.version)
    elif kind in DRAWING:
        units = estimates.pictures(kind, profile, asked.names)
    return NewJob(
        kind=kind,
        title=title(kind, profile, asked.names, asked.run),
        payload={
            "workspace": str(workspace.root),
            "profile": source.text,
            "settings": frozen.settings_part(source.settings),
            "options": options,
            "dataset_sha256": dataset,
        },
        workspace=str(workspace.root),
        priority=asked.priority,
        window=asked.window,
        at=asked.at,
        retries=asked.retries,
        needs=asked.after,
        needs_card=kind == "train" or (kind in DRAWING and _draws_here(source.settings)),
        estimate=estimates.estimate(kind, units, store, workspace),
    )


def title(kind: str, profile: Profile, names: Sequence[str] = (), run: str = "") -> str:
    """What a job is called."""
    named = f": {', '.join(names)}" if names else ""
    return f"{kind} {run or profile.run_name}{named}"


def _refuse_names(kind: str, profile: Profile, names: Sequence[str]) -> None:
    there = {"pictures": [s.name for s in profile.pictures], "grid": [g.name for g in profile.grids]}.get(kind)
    if names and there is None:
        raise InputError(f"A {kind} job takes no names.", fix="Only pictures and grid do.")
    unknown = [name for name in names if name not in (there or ())]
    if unknown:
        raise InputError(
            f"The profile has no {', '.join(map(repr, unknown))} for a {kind} job.",
            fix=f"It has: {', '.join(there or ()) or 'none'}.",
        )
    if kind == "evaluate" and not profile.evaluation.rounds:
        raise InputError("The profile has no rounds to evaluate.", fix="Add [[evaluation.rounds]] to lora.toml.")


def _draws_here(settings: Settings) -> bool:
    return any(address.on_this_machine for address in settings.addresses())


def _checkpoint(source: Source, named: str) -> Path:
    """The base checkpoint's file, found now: at night A1111 may draw with another one."""
    from orchestrator import pipeline
    from orchestrator.installs import open_client

    named = named or source.profile.base.path
    if named:
        return source.workspace.named(named).absolute()
    with open_client(source.settings) as client:
        renderer = pipeline.open_renderer(source.profile, source.workspace, client)
        return pipeline.base_checkpoint(source.profile, source.workspace, renderer)


def _steps(source: Source, asked: Asked, checkpoint: Path) -> int | None:
    """How many steps the training takes, found by planning it. Raises `TrainingRefused` with everything that speaks
    against it, as far as it can be told before its pictures are there.
    """
    from orchestrator import pipeline
    from orchestrator.installs import find_kohya
    from orchestrator.training.preflight import preflight

    install = find_kohya(source.settings)
    if asked.build or asked.after:
        pipeline.check_training(source.profile, source.workspace, install, checkpoint)
        return estimates.steps_before(source.profile)
    ready = preflight(source.profile, install, source.workspace, checkpoint=checkpoint)
    return estimates.steps(ready.planned)
