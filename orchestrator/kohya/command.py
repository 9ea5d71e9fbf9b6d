"""The command line and environment sd-scripts is started with."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.kohya.install import KohyaInstall
from orchestrator.kohya.state import FROM_START, FromState, FromWeights, ResumePoint

#: Observed necessities: without the first three the epoch lines come late, are lost on a kill, or a path outside the
#: code page ends the run; COLUMNS keeps rich from breaking paths over lines.
ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    "PYTHONIOENCODING": "utf-8",
    "COLUMNS": "1000",
    "NO_COLOR": "1",
}
#: Of our own Python; kohya's venv must not see them.
_OURS = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "PYTHONSTARTUP")
#: Of A1111; a trainer has no use for them, and its crash reports go to anybody.
_SECRET = re.compile(r"ORCHESTRATOR_\w*PASSWORD", re.IGNORECASE)
_TOKENIZER = "clip-vit-large-patch14"


def argv(
    install: KohyaInstall,
    config: Path,
    *,
    script: str,
    point: ResumePoint = FROM_START,
    accelerate: bool = False,
    gpus: Sequence[int] = (),
    cpu_threads: int = 0,
    mixed_precision: str = "no",
) -> list[str]:
    """Plain `python script --config_file …`, through accelerate where it is asked for or `gpus` names several cards;
    `point` is where to go on from.

    accelerate is not needed for one process: it costs 5 s, hides the exit code, and leaves the trainer running when
    only the launcher is stopped. It is started as a module: `accelerate.exe` breaks when the environment is moved.
    `--initial_epoch` must be given with every resume: sd-scripts would otherwise compute the epoch from a step count
    that began anew at the last resume, and train epochs twice (sd-scripts issues 1999, 2171, 2248).
    """
    command = [str(install.python)]
    if accelerate or len(gpus) > 1:
        count = max(len(gpus), 1)
        command += ["-m", "accelerate.commands.accelerate_cli", "launch"]
        command += ["--num_processes", str(count), "--num_machines", "1", "--mixed_precision", mixed_precision]
        command += ["--dynamo_backend", "no", "--num_cpu_threads_per_process", str(cpu_threads or 1)]
        if count > 1:
            command.append("--multi_gpu")
        if gpus:
            command += ["--gpu_ids", ",".join(map(str, gpus))]
    command += [str(install.root / script), "--config_file", str(config)]
    if isinstance(point, FromState):
        command += ["--resume", str(point.path), "--initial_epoch", str(point.epoch + 1)]
    elif isinstance(point, FromWeights):
        command += ["--network_weights", str(point.path), "--initial_epoch", str(point.epoch + 1)]
    return command


def signs(config: Path) -> tuple[str, ...]:
    """What every command line of `argv` holds, the launcher's as the trainer's, and nothing else on this machine
    does.
    """
    return ("--config_file", str(config))


def environment(
    base: Mapping[str, str] | None = None,
    *,
    tokenizers: Path | None = None,
    sdxl: bool = False,
    gpus: Sequence[int] = (),
    cpu_threads: int = 0,
) -> dict[str, str]:
    """The whole environment of the child: `base` (default: ours) without what belongs to our Python and without
    our passwords, plus what a run needs. A single one of `gpus` is the only card the trainer sees.

    HF_HUB_OFFLINE is set when the tokenizer is known to be on this machine, so that a run at night does not hang on a
    dead network.
    """
    given = os.environ if base is None else base
    values = {key: value for key, value in given.items() if key not in _OURS and not _SECRET.fullmatch(key)}
    values.update(ENVIRONMENT)
    if cpu_threads:
        values["OMP_NUM_THREADS"] = str(cpu_threads)
    if len(gpus) == 1:
        values["CUDA_VISIBLE_DEVICES"] = str(gpus[0])
    if "HF_HUB_OFFLINE" not in values and not sdxl and tokenizer_is_here(values, tokenizers):
        values["HF_HUB_OFFLINE"] = "1"
    return values


def tokenizer_is_here(values: Mapping[str, str], tokenizers: Path | None = None) -> bool:
    """Whether the tokenizer of SD1.5 lies in `tokenizers` (the tokenizer_cache_dir) or in the Hugging Face cache."""
    if tokenizers is not None:
        return (tokenizers / f"openai_{_TOKENIZER}").is_dir()
    home = Path(values.get("HF_HOME") or Path(values.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    hub = Path(values.get("HF_HUB_CACHE") or home / "hub")
    snapshots = hub / f"models--openai--{_TOKENIZER}" / "snapshots"
    return any((snapshot / "vocab.json").exists() for snapshot in snapshots.glob("*"))


def recorded_environment(values: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that goes into a run's record: what we set and what steers CUDA, never anything
    secret.
    """
    shown = {*ENVIRONMENT, "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "OMP_NUM_THREADS"}
    return {key: values[key] for key in sorted(shown) if key in values}
