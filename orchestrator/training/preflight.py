"""Everything that speaks against a training, found before the graphics card is touched and said at once.

What is looked at: the profile's values against this very sd-scripts, the base checkpoint, every picture and caption,
the disk, the run's folder, and both configurations as sd-scripts would read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import InputError, Problem, ProfileError, StorageError, TrainingRefused
from orchestrator.kohya import base_model, buckets, dataset_config, toml_file
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.model import Profile
from orchestrator.training import identity, inputs, preflight_run_folder, space
from orchestrator.training.plan import Draft, TrainingPlanned, draft
from orchestrator.training.preset import effective
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Ready:
    """A training that nothing speaks against. `doubts` are worth a look and stop nothing."""

    planned: TrainingPlanned
    doubts: tuple[Problem, ...] = ()


def preflight(
    profile: Profile,
    install: KohyaInstall,
    workspace: Workspace,
    *,
    checkpoint: Path,
    dataset: Path | None = None,
    preset: str = "",
) -> Ready:
    """Plan the training of the profile's version and look at everything it needs. Nothing is written but caches, and a
    file that is removed again where the LoRA files will lie.

    `checkpoint` is the base checkpoint's file or diffusers folder, which need not exist: that is one of the things
    found out. `dataset` is the folder of the built dataset, that of the version when not given. `preset` names the
    file of the kohya_ss GUI that the profile's training was taken from. Raises `TrainingRefused` with every problem
    there is.

    A training that runs already or is finished needs nothing any more; it is ready whatever became of the disk.
    """
    looked = inputs.look(dataset or workspace.dataset(profile.subject.version), workspace.cache)
    drafted = _draft(profile, install, workspace, checkpoint, looked, preset)
    planned = drafted.planned
    doubts = [*drafted.doubts, *looked.doubts]
    if planned is not None and preflight_run_folder.needs_no_start(planned):
        return Ready(planned, tuple(doubts))
    problems = [*drafted.problems, *looked.problems, *_shapeless(profile, planned, looked)]
    found = _run_folders(profile, workspace, planned)
    problems += found[0]
    doubts += found[1]
    if planned is None:
        folder = workspace.run(profile.run_name) / "lora"
        problems += space.problems(folder, _needed(profile, workspace, checkpoint))
    else:
        needed = max(planned.bytes_needed - space.used(planned.output_folder), 0)
        longest = f"{planned.output_name}-{planned.epochs:06d}-state/random_states_0.pkl"
        problems += space.problems(planned.output_folder, needed, longest=longest)
        problems += _unreadable(planned)
        if any(planned.values.get(key) for key in preflight_run_folder.CACHES_ON_DISK):
            problems += [p for group in planned.dataset.groups for p in space.problems(group.folder, 0)]
    if problems or planned is None:
        raise TrainingRefused(problems)
    return Ready(planned, tuple(doubts))


def _draft(
    profile: Profile, install: KohyaInstall, workspace: Workspace, checkpoint: Path, looked: inputs.Looked, preset: str
) -> Draft:
    try:
        return draft(profile, install, workspace, checkpoint, looked, preset=preset)
    except (InputError, StorageError) as error:
        return Draft(None, (Problem("", error.what, error.fix),))
    except OSError as error:  # a checkpoint that may not be read, a file where the run's folder should be
        return Draft(None, (Problem(str(error.filename or ""), f"cannot be used: {error.strerror or error}"),))


def _shapeless(profile: Profile, planned: TrainingPlanned | None, looked: inputs.Looked) -> tuple[Problem, ...]:
    """Pictures that are left no size to be trained at: sd-scripts divides by zero there, and names no file."""
    if planned is not None:
        dataset = planned.dataset_values["datasets"][0]
    elif looked.groups and not any("bucket" in name for name in profile.training.extra):
        subsets = [group.subset for group in looked.groups]
        dataset = dataset_config.values(subsets, resolution=profile.dataset.resolution)["datasets"][0]
    else:
        return ()
    if not buckets.is_known(dataset):
        return ()
    return inputs.gathered(
        [
            Problem(
                f"{group.folder.name}/{picture.name}",
                f"{size[0]}×{size[1]} pixels leave nothing to train on at this resolution (sides come in steps of "
                f"{dataset.get('bucket_reso_steps', 64)})",
                "use a larger or less elongated picture, or raise dataset.resolution",
            )
            for group in looked.groups
            for picture, size in zip(group.pictures, group.sizes, strict=True)
            if all(size) and buckets.training_size(size, dataset) is None
        ]
    )


def _run_folders(
    profile: Profile, workspace: Workspace, planned: TrainingPlanned | None
) -> tuple[list[Problem], list[Problem]]:
    """Problems and doubts of the run's folder; of every unfinished one where it is not known yet which is meant."""
    every = preflight_run_folder.folders(workspace, profile.run_name)
    problems = [problem for folder in every for problem in preflight_run_folder.damage(folder)]
    if planned is None:
        return problems + [
            problem
            for folder in every
            if not preflight_run_folder.is_finished(folder)
            for problem in preflight_run_folder.edits(folder)
        ], []
    problems += preflight_run_folder.edits(planned.folder)
    replaced, lost = preflight_run_folder.lost_and_replaced(planned.folder, workspace.cache)
    shared, beside = preflight_run_folder.others_alive(workspace, planned)
    return [*problems, *replaced, *shared], [*lost, *beside]


def _needed(profile: Profile, workspace: Workspace, checkpoint: Path) -> int:
    """The bytes a training needs that could not be planned for other reasons; of an SD1.5 LoRA where the base tells
    nothing.
    """
    try:
        chosen = effective(profile.training, workspace.profile)
    except ProfileError:
        return 0
    try:
        family = base_model.identify(checkpoint).family
    except InputError:
        family = "sd1"
    return identity.bytes_needed(
        dim=chosen.dim, epochs=chosen.epochs, save_every=chosen.save_every, save_state=chosen.save_state, family=family
    )


def _unreadable(planned: TrainingPlanned) -> list[Problem]:
    """What sd-scripts would not read from its two configurations as it is meant."""
    problems = dataset_config.check(planned.dataset_values)
    for name, values in (("config.toml", planned.values), ("dataset.toml", planned.dataset_values)):
        try:
            toml_file.text(values)
        except InputError as error:
            problems.append(Problem(name, error.what.rstrip("."), error.fix))
    return problems
