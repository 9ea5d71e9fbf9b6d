"""Values of a training held against what this install of sd-scripts takes, each problem with its place and cure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem
from orchestrator.kohya import base_model, config_file, dataset_config, known, reason, tokenizers
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.load import line_of
from orchestrator.profile.model import TrainingPlan
from orchestrator.training import words
from orchestrator.training.inputs import DatasetInput

#: Arguments that name files besides the base checkpoint and its parts.
_FILES = ("vae", "network_weights", "base_weights")


def problems(values: Mapping[str, Any], chosen: TrainingPlan, accepted: Mapping[str, Argument]) -> list[Problem]:
    """Everything wrong with `values` (as from `words.values`), in the profile's words."""
    refused = words.refused(chosen.extra)
    found = list(refused)
    # A refused key is said once; resolution is written into the dataset file, which wants another kind.
    silent = {problem.place.rpartition(".")[2] for problem in refused} | {"resolution"}
    for problem in config_file.check({k: v for k, v in values.items() if k not in silent}, accepted):
        found.append(_in_our_words(problem, chosen))
    if chosen.save_every > chosen.epochs:
        found.append(
            Problem("training.save_every", f"{chosen.save_every} is more than the {chosen.epochs} epochs there are")
        )
    return found


def bucket_problems(values: Mapping[str, Any], chosen: TrainingPlan, *, resolution: int, family: str) -> list[Problem]:
    """What is wrong with the sizes of buckets that [training.extra] asks for, in the profile's words."""
    usual = dataset_config.values([dataset_config.Subset(Path())], resolution=resolution, batch_size=chosen.batch_size)
    _, written = words.into_dataset_file(values, usual, chosen.extra)
    # train_network.py and flux_train_network.py (by way of it) want 64, the others 32.
    found = dataset_config.limits(written["datasets"][0], steps=32 if family in {"sdxl", "sd3"} else 64)
    return [_in_our_words(problem, chosen) for problem in found if problem.place in chosen.extra]


def missing(
    values: Mapping[str, Any],
    chosen: TrainingPlan,
    install: KohyaInstall,
    have: Mapping[str, str],
    cache: Path,
) -> list[Problem]:
    """Names this install does not know (optimizer, scheduler, network) and packages its Python lacks."""
    names = known.read(install, cache)
    found = [*known.problems(values, names), *known.missing_packages(values, have, names, python=install.python)]
    return [_in_our_words(problem, chosen) if problem.place else problem for problem in found]


def doubts(values: Mapping[str, Any], chosen: TrainingPlan, data: DatasetInput) -> list[Problem]:
    """Values that are allowed and hardly meant, in the profile's words."""
    together = chosen.batch_size * max(len(chosen.launch.gpus), 1) * int(values.get("gradient_accumulation_steps") or 1)
    # With pictures of several shapes it is a little more: each shape has batches of its own.
    steps = -(-data.seen_per_epoch // together) * chosen.epochs
    found = reason.doubts(values, pictures=data.seen_per_epoch, steps=steps)
    return [_in_our_words(doubt, chosen) for doubt in found]


def files_lacking(values: Mapping[str, Any], chosen: TrainingPlan, install: KohyaInstall) -> list[Problem]:
    """Files that `values` name and that are not there: sd-scripts finds out after it has loaded the model."""
    found: list[Problem] = []
    for key in _FILES:
        given = values.get(key)
        for name in given if isinstance(given, (list, tuple)) else [given]:
            # sd-scripts is started in its own folder, which a relative path therefore begins at.
            if not isinstance(name, str) or not name or (install.root / name).exists():
                continue
            if key != "vae" or not base_model.looks_like_hub_id(name):  # a VAE may come from the hub
                found.append(Problem(key, f"there is no file {name}", "name one on this machine by its whole path"))
    return [_in_our_words(problem, chosen) for problem in found]


def tokenizers_lacking(install: KohyaInstall, family: str, chosen: TrainingPlan) -> tuple[list[Problem], list[Problem]]:
    """Problems and doubts about tokenizers that are not on this machine: without them sd-scripts goes no further than
    its start.
    """
    folder = chosen.extra.get("tokenizer_cache_dir")
    ids = tokenizers.needed(install, family)
    absent = tokenizers.missing(ids, cache_dir=Path(folder) if isinstance(folder, str) else None)
    if not absent:
        return [], []
    what = f"not on this machine yet: the tokenizer {', '.join(absent)}"
    if tokenizers.offline():
        fix = "take HF_HUB_OFFLINE away for the first run"
        return [Problem("", f"{what}, and HF_HUB_OFFLINE forbids sd-scripts to fetch it", fix)], []
    return [], [Problem("", f"{what}; sd-scripts fetches it at its first run", "be online until the first step")]


def located(found: Iterable[Problem], profile: Path, preset: str = "") -> tuple[Problem, ...]:
    """The same, each with its line where it stands in the file `profile`; a preset's value and a default have none.

    With `preset`, the name of a file of the kohya_ss GUI, the training's values stand there and not in the profile.
    """
    found = [_in_preset(problem, preset) for problem in found] if preset else list(found)
    try:
        lines = (text := profile.read_text(encoding="utf-8-sig")).splitlines()
    except (OSError, UnicodeDecodeError):
        return tuple(found)
    answer: list[Problem] = []
    for problem in found:
        keys = problem.place.split(".")
        line = None if preset and problem.place.startswith(f"{preset}: ") else line_of(text, tuple(keys))
        # Of a key that is not there, the line of the table around it is found.
        stands = line is not None and re.match(rf"""\s*["']?{re.escape(keys[-1])}["']?\s*=""", lines[line - 1])
        answer.append(Problem(f"line {line}: {problem.place}", problem.what, problem.fix) if stands else problem)
    return tuple(answer)


def _in_preset(problem: Problem, preset: str) -> Problem:
    # Samples may be either's; where the preset has none, the profile's are drawn.
    theirs = problem.place.startswith("training.") and not problem.place.startswith("training.samples")
    return Problem(f"{preset}: {problem.place}", problem.what, problem.fix) if theirs else problem


def _in_our_words(problem: Problem, chosen: TrainingPlan) -> Problem:
    return Problem(words.place(problem.place, chosen.extra), problem.what, problem.fix)
