"""A training planned: everything decided and checked before it is started.

`words.py` holds the translation, `value_checks.py` what may be wrong with it, `identity.py` what makes a training this
very one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import InputError, KohyaNotFound, Problem, ProfileError, TrainingRefused
from orchestrator.kohya import arguments as kohya_arguments
from orchestrator.kohya import base_model, dataset_config, packages
from orchestrator.kohya import install as kohya_install
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.base_model import BaseModel
from orchestrator.kohya.install import SCRIPT_NAME, KohyaInstall
from orchestrator.profile.model import Guard, Launch, Profile
from orchestrator.training import identity, inputs, samples, value_checks, words
from orchestrator.training.inputs import DatasetInput
from orchestrator.training.preset import effective
from orchestrator.workspace import Workspace

if TYPE_CHECKING:
    from orchestrator.training.record import RunRecord


#: Further files of Flux and SD3, by our words and by sd-scripts'.
_COMPONENTS = ("clip_l", "clip_g", "t5xxl", "ae")
_ANEW = "train anew with `orchestrator train`"


@dataclass(frozen=True)
class TrainingPlanned:
    """Everything decided about one training before it is started.

    `fingerprint` (64 hex digits) names what decides the outcome: the values, the dataset's content, the base
    checkpoint's content and the version of sd-scripts. Two trainings with the same fingerprint are the same training.
    `samples` are the lines of the prompt file, `packages` what the trainer's Python has (name → version), `changes` the
    values that differ from the plan's in this attempt alone (a remedy for full memory).
    """

    name: str
    folder: Path
    output_name: str
    install: KohyaInstall
    base: BaseModel
    base_sha256: str
    dataset: DatasetInput
    values: Mapping[str, Any]
    dataset_values: Mapping[str, Any]
    epochs: int
    save_every: int
    seed: int
    can_resume: bool
    bytes_needed: int
    fingerprint: str
    cache: Path
    guard: Guard = field(default_factory=Guard)
    launch: Launch = field(default_factory=Launch)
    samples: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output_folder(self) -> Path:
        """Where LoRA files and states are written."""
        return self.folder / "lora"

    @property
    def config(self) -> Path:
        """sd-scripts' configuration file of this run."""
        return self.folder / "config.toml"

    @property
    def dataset_config(self) -> Path:
        """sd-scripts' dataset file of this run."""
        return self.folder / "dataset.toml"

    @property
    def sample_prompts(self) -> Path:
        """The prompts of the pictures drawn meanwhile; there is none where `samples` is empty."""
        return self.folder / samples.PROMPTS_NAME

    @property
    def final_file(self) -> Path:
        """The LoRA file of the last epoch: sd-scripts gives it no number."""
        return self.output_folder / f"{self.output_name}.safetensors"


@dataclass(frozen=True)
class Draft:
    """A training as far as it could be planned: `planned` is None where there are `problems`, or no dataset."""

    planned: TrainingPlanned | None
    problems: tuple[Problem, ...]
    doubts: tuple[Problem, ...] = ()


def plan(
    profile: Profile, install: KohyaInstall, workspace: Workspace, *, checkpoint: Path, dataset: Path | None = None
) -> TrainingPlanned:
    """Plan the training of the profile's version. Nothing is written but a cache of hashes.

    `checkpoint` is the base checkpoint's file (or diffusers folder); `dataset` the folder of the built dataset, that
    of the version when not given. Raises `ProfileError` with every value sd-scripts would not understand,
    `DatasetError`, `InputError`.
    """
    folder = dataset or workspace.dataset(profile.subject.version)
    looked = inputs.Looked(inputs.read_dataset(folder, workspace.cache))
    drafted = draft(profile, install, workspace, checkpoint, looked)
    if drafted.planned is None:
        raise ProfileError(workspace.profile, [str(problem) for problem in drafted.problems])
    return drafted.planned


def draft(
    profile: Profile,
    install: KohyaInstall,
    workspace: Workspace,
    checkpoint: Path,
    dataset: inputs.Looked,
    *,
    preset: str = "",
) -> Draft:
    """Plan as far as possible, collecting every problem instead of stopping at the first.

    What `dataset` (as from `inputs.look`) has found itself is not repeated here; where it holds none, everything else
    is checked all the same. `preset` names the file of the kohya_ss GUI that the profile's training was taken from.
    Nothing is written but a cache of hashes. Raises `StorageError`.
    """
    data = dataset.dataset
    # A line of the profile is named only where it is the profile that names the checkpoint.
    named_there = not profile.base.path or workspace.named(profile.base.path) == checkpoint
    # The record must name it from wherever a later command is started.
    checkpoint = checkpoint.absolute() if checkpoint.exists() else checkpoint
    try:
        chosen = effective(profile.training, workspace.profile)
    except ProfileError as error:
        return Draft(None, tuple(_problem(text) for text in error.problems))
    problems: list[Problem] = []
    parts = {name: _given(getattr(profile.base, name)) for name in _COMPONENTS}
    base = _base(checkpoint, parts, problems, place="base.path" if named_there else "--checkpoint")
    family, script = (base.family, base.script) if base else ("sd1", SCRIPT_NAME)
    try:
        accepted = kohya_arguments.read(install, script, workspace.cache)
    except KohyaNotFound as error:
        problems.append(Problem("base.path", error.what, error.fix))
        return Draft(None, value_checks.located(problems, workspace.profile, preset))
    have = packages.installed(install.python)
    output_name = workspace.run(profile.run_name).name
    written = words.values(chosen, family=family, output_name=output_name, accepted=accepted)
    watched = {**words.tensorboard(chosen, have, accepted), **samples.values(chosen)}
    asked = {**watched, **written}
    problems += value_checks.problems(asked, chosen, accepted)
    problems += value_checks.bucket_problems(written, chosen, resolution=profile.dataset.resolution, family=family)
    problems += value_checks.files_lacking(written, chosen, install)
    problems += value_checks.missing(asked, chosen, install, have, workspace.cache)
    problems += samples.problems(chosen.samples, profile)
    fatal, doubts = value_checks.tokenizers_lacking(install, family, chosen)
    problems += fatal
    if problems or base is None or data is None:
        return Draft(None, value_checks.located(problems, workspace.profile, preset))
    values, dataset_values = words.into_dataset_file(
        written,
        dataset_config.values(
            [group.subset for group in data.groups],
            resolution=profile.dataset.resolution,
            batch_size=chosen.batch_size,
        ),
        chosen.extra,
    )
    base_sha256 = inputs.checkpoint_sha256(checkpoint, workspace.cache)
    digits = identity.fingerprint(
        values,
        dataset_values,
        data,
        base_sha256,
        install,
        script,
        components={name: inputs.checkpoint_sha256(path, workspace.cache) for name, path in base.components.items()},
        cards=len(chosen.launch.gpus),
    )
    folder = identity.folder(workspace, profile.run_name, digits)
    planned = TrainingPlanned(
        name=folder.name,
        folder=folder,
        output_name=output_name,
        install=install,
        base=base,
        base_sha256=base_sha256,
        dataset=data,
        # Where things lie, and what is only looked at, comes after the fingerprint, which does not depend on it.
        values={**words.placed(watched, folder), **values, **_paths(folder, base)},
        dataset_values=dataset_values,
        epochs=chosen.epochs,
        save_every=chosen.save_every,
        # [training.extra] may have given these by sd-scripts' names.
        seed=values["seed"],
        can_resume=_can_resume(values, accepted),
        bytes_needed=identity.bytes_needed(
            dim=values["network_dim"],
            epochs=chosen.epochs,
            save_every=chosen.save_every,
            save_state=bool(values.get("save_state")),
            family=family,
        ),
        fingerprint=digits,
        cache=workspace.cache,
        guard=chosen.guard,
        launch=chosen.launch,
        samples=tuple(samples.lines(chosen, profile, family)),
        packages=have,
    )
    doubts += value_checks.doubts(planned.values, chosen, data)
    return Draft(planned, (), value_checks.located(doubts, workspace.profile, preset))


def from_record(
    record: RunRecord, folder: Path, *, python: Path | None = None, guard: Guard | None = None
) -> TrainingPlanned:
    """The plan of a run that was begun before, from its own record in `folder`: no profile is needed to go on.

    `python` is kohya's, that of the last attempt when not given.

    Raises `TrainingRefused` when dataset, base checkpoint or sd-scripts are not what they were (it would be another
    training) and when the record does not say it, `KohyaNotFound`, `StorageError`.
    """
    workspace = Workspace(folder.absolute().parent.parent)
    if unsaid := [Problem(f"runs/{folder.name}/run.json", f"does not say {key}", _ANEW) for key in _unsaid(record)]:
        raise TrainingRefused(unsaid)
    command = record.attempts[-1].command if record.attempts else ()
    python = python or (Path(command[0]) if command else None)
    install = kohya_install.find(Path(record.trainer["folder"]), python=python)
    base_path = Path(record.base["path"])
    looked = inputs.look(Path(record.dataset["folder"]), workspace.cache)
    problems = list(looked.problems)
    base = _base(base_path, {name: record.values.get(name, "") for name in _COMPONENTS}, problems)
    if looked.dataset is not None and looked.dataset.sha256 != record.dataset["sha256"]:
        problems.append(Problem(record.dataset["folder"], "is not the dataset this run was begun with", _ANEW))
    if base is not None and inputs.checkpoint_sha256(base_path, workspace.cache) != record.base["sha256"]:
        problems.append(Problem(record.base["path"], "is not the checkpoint this run was begun with", _ANEW))
    if install.code_hash != record.trainer["code_hash"]:
        now = f"is another version now than the {record.trainer['version'][:12]} this run was begun with"
        problems.append(Problem(record.trainer["folder"], now, f"check that version out again; or {_ANEW}"))
    if problems or base is None or looked.dataset is None:
        raise TrainingRefused(problems)
    accepted = kohya_arguments.read(install, record.trainer["script"], workspace.cache)
    values = {**record.values, **_paths(folder, base)}
    return TrainingPlanned(
        name=record.name,
        folder=folder.absolute(),
        output_name=values["output_name"],
        install=install,
        base=base,
        base_sha256=record.base["sha256"],
        dataset=looked.dataset,
        values=values,
        dataset_values=record.dataset_config,
        epochs=record.epochs,
        save_every=record.save_every,
        seed=record.seed,
        can_resume=_can_resume(values, accepted),
        bytes_needed=identity.bytes_needed(
            dim=values["network_dim"],
            epochs=record.epochs,
            save_every=record.save_every,
            save_state=bool(values.get("save_state")),
            family=base.family,
        ),
        fingerprint=record.fingerprint,
        cache=workspace.cache,
        guard=guard or Guard(),
        launch=_launch(command, record.attempts[-1].environment if record.attempts else {}),
        samples=samples.read(folder),
        packages=packages.installed(install.python),
    )


def _unsaid(record: RunRecord) -> list[str]:
    """What a record must say to be gone on from, and does not: somebody edited it, or it was put together again from
    files that do not tell.
    """
    parts: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
        "trainer": (record.trainer, ("folder", "script", "version", "code_hash")),
        "base": (record.base, ("path", "sha256")),
        "dataset": (record.dataset, ("folder", "sha256")),
        "values": (record.values, ("output_name", "network_dim")),
        "dataset_config": (record.dataset_config, ("general", "datasets")),
    }
    return [f"{part}.{key}" for part, (said, keys) in parts.items() for key in keys if not said.get(key)]


def _launch(command: Sequence[str], environment: Mapping[str, str]) -> Launch:
    """How a run was started, from its command line and environment: several cards make another batch than one, and a
    single one may not be the first.
    """
    threads = environment.get("OMP_NUM_THREADS", "")
    if "--num_processes" in command:
        named = command[command.index("--gpu_ids") + 1] if "--gpu_ids" in command else ""
    else:
        visible = environment.get("CUDA_VISIBLE_DEVICES", "")
        named = visible if visible.strip().isdigit() else ""  # several of the user's own: inherited again
    return Launch(
        accelerate="--num_processes" in command,
        gpus=tuple(int(number) for number in named.split(",") if number.strip().isdigit()),
        cpu_threads=int(threads) if threads.isdigit() and int(threads) <= 256 else 0,
    )


def _problem(text: str) -> Problem:
    place, colon, what = text.partition(": ")
    return Problem(place, what) if colon else Problem("", text)


def _base(
    checkpoint: Path, components: Mapping[str, Path | str], problems: list[Problem], *, place: str = "base.path"
) -> BaseModel | None:
    try:
        return base_model.identify(checkpoint, components)
    except TrainingRefused as error:
        problems += error.problems
        return None
    except InputError as error:
        problems.append(Problem(place, error.what, " ".join(filter(None, (error.cause, error.fix)))))
        return None


def _given(path: str) -> Path | str:
    """A path of the profile as a file of this machine; an empty text stays one."""
    return Path(path).expanduser() if path else ""


def _paths(folder: Path, base: BaseModel) -> dict[str, str]:
    return {
        **{name: str(path.absolute()) for name, path in base.components.items()},
        "pretrained_model_name_or_path": str(base.path.absolute()),
        "dataset_config": str((folder / "dataset.toml").absolute()),
        "output_dir": str((folder / "lora").absolute()),
    }


def _can_resume(values: Mapping[str, Any], accepted: Mapping[str, Argument]) -> bool:
    # Releases before initial_epoch (up to v0.9) count epochs from 1 after a resume and overwrite the first files.
    return "initial_epoch" in accepted and bool(values.get("save_state"))
