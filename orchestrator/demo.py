"""The article played from v3 to v4, through the same functions a user's run takes.

v3 is trained on the pictures as they were first drawn: the close-ups lean, the dataset check says what that will lock
in, and the grid shows it. v4 straightens, varies and rebalances them, and goes on to the verdict. Both are the one
profile: `before` takes from it what v4 does to the pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import pipeline
from orchestrator.errors import InputError
from orchestrator.files import write_text

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.dataset.model import CheckResult
    from orchestrator.evaluation.verdict import Verdict
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.profile.model import Profile
    from orchestrator.training.events import TrainingEvent
    from orchestrator.workspace import Workspace

#: Pictures of the article's v3 in its three groups: 23 in all.
COUNTS_BEFORE = (10, 7, 6)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """What the demo needs of its surroundings: the installs, and who watches."""

    client: A1111
    install: KohyaInstall
    lora_folder: str = ""
    say: Say = print
    show_check: Callable[[CheckResult], None] = lambda result: None
    on_progress: pipeline.OnProgress = lambda what, done, total: None
    on_training: Callable[[TrainingEvent], None] | None = None


@dataclass(frozen=True)
class Played:
    """How the story ended."""

    verdict: Verdict
    report: Path


def play(profile: Profile, workspace: Workspace, stage: Stage) -> Played:
    """Play the story in `workspace`; whatever was made before is not made again."""
    from orchestrator.vision.workers import kept

    with kept():
        return _play(profile, workspace, stage)


def _play(profile: Profile, workspace: Workspace, stage: Stage) -> Played:
    earlier = before(profile)
    _keep(workspace, earlier)
    renderer = pipeline.open_renderer(profile, workspace, stage.client)
    checkpoint = pipeline.base_checkpoint(profile, renderer)

    stage.say(f"{earlier.subject.version}: the pictures as they were first drawn")
    pipeline.make_pictures(
        earlier, workspace, renderer, only=[s.name for s in earlier.pictures], on_progress=stage.on_progress
    )
    _train(earlier, workspace, stage, checkpoint)
    deployed = pipeline.deploy_run(workspace, earlier.run_name, stage.client, stage.lora_folder)
    pipeline.draw_grids(earlier, workspace, renderer, deployed, on_progress=stage.on_progress)

    stage.say(f"{profile.subject.version}: the same pictures straightened, varied and balanced")
    for made in pipeline.make_pictures(profile, workspace, renderer, on_progress=stage.on_progress):
        for sentence in (*made.notes, *made.failed):
            stage.say(f"  {made.name}: {sentence}")
    _train(profile, workspace, stage, checkpoint)
    deployed = pipeline.deploy_run(workspace, profile.run_name, stage.client, stage.lora_folder)
    pipeline.draw_grids(profile, workspace, renderer, deployed, on_progress=stage.on_progress)

    stage.say("Which one is best?")
    for sentence in pipeline.scout_seeds(profile, workspace, renderer, on_progress=stage.on_progress).sentences:
        stage.say(f"  {sentence}")
    verdict = pipeline.evaluate_version(profile, workspace, renderer, deployed, on_progress=stage.on_progress)
    return Played(verdict, pipeline.write_report(profile, workspace))


def before(profile: Profile) -> Profile:
    """The version before `profile`'s: its dataset from the picture sets as first drawn, and its first grid alone.

    Raises `InputError` for a profile without groups, grids or rounds, or one that is a first version.
    """
    version = re.fullmatch(r"v(\d+).*", profile.subject.version)
    number = int(version[1]) if version else 0
    missing = [
        what
        for what, there in (
            ("dataset.groups", profile.dataset.groups),
            ("grids", profile.grids),
            ("evaluation.rounds", profile.evaluation.rounds),
            ("a version from v2 on", number > 1),
        )
        if not there
    ]
    if missing:
        raise InputError(f"The demo cannot be played with this profile: it has no {', no '.join(missing)}.")
    groups = tuple(
        group.model_copy(
            update={
                "sets": tuple(_first_drawn(profile, name) for name in group.sets),
                "count": _fewer(group.count, index),
            }
        )
        for index, group in enumerate(profile.dataset.groups)
    )
    drawn = {name for group in groups for name in group.sets}
    return profile.model_copy(
        update={
            "subject": profile.subject.model_copy(update={"version": f"v{number - 1}"}),
            "pictures": tuple(s for s in profile.pictures if s.name in drawn),
            "dataset": profile.dataset.model_copy(update={"groups": groups}),
            "grids": profile.grids[:1],
        }
    )


def _first_drawn(profile: Profile, name: str) -> str:
    picture_set = profile.picture_set(name)
    return _first_drawn(profile, picture_set.source) if picture_set and picture_set.source else name


def _fewer(count: int, index: int) -> int:
    fewer = COUNTS_BEFORE[min(index, len(COUNTS_BEFORE) - 1)]
    return min(count, fewer) if count else fewer


def _train(profile: Profile, workspace: Workspace, stage: Stage, checkpoint: Path) -> None:
    checked = pipeline.check_dataset(profile, workspace, on_progress=stage.on_progress)
    stage.show_check(checked.result)
    pipeline.build_dataset(profile, workspace, checked.pictures)
    pipeline.train_version(
        profile, workspace, stage.install, checkpoint, a1111=lambda: stage.client, on_event=stage.on_training
    )


def _keep(workspace: Workspace, earlier: Profile) -> None:
    """The version before as a file of its own, so that it can be looked at and made again."""
    import tomli_w

    values = earlier.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    write_text(workspace.root / f"lora.{earlier.subject.version}.toml", tomli_w.dumps(values))
