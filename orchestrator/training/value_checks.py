"""Values of a training held against what this install of sd-scripts takes, each problem with its place and cure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem
from orchestrator.kohya import config_file, dataset_config, known, reason
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.install import KohyaInstall
from orchestrator.profile.load import line_of
from orchestrator.profile.model import TrainingPlan
from orchestrator.training import words
from orchestrator.training.inputs import DatasetInput


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
    found = [*known.problems(values, names), *known.missing_packages(values, have, names)]
    return [_in_our_words(problem, chosen) if problem.place else problem for problem in found]


def doubts(values: Mapping[str, Any], chosen: TrainingPlan, data: DatasetInput, profile: Path) -> tuple[Problem, ...]:
    """Values that are allowed and hardly meant, in the profile's words."""
    together = chosen.batch_size * max(len(chosen.launch.gpus), 1) * int(values.get("gradient_accumulation_steps") or 1)
    # With pictures of several shapes it is a little more: each shape has batches of its own.
    steps = -(-data.seen_per_epoch // together) * chosen.epochs
    found = reason.doubts(values, pictures=data.seen_per_epoch, steps=steps)
    return located((_in_our_words(doubt, chosen) for doubt in found), profile)


def located(found: Iterable[Problem], profile: Path) -> tuple[Problem, ...]:
    """The same, each with its line where it stands in the file `profile`; a preset's value and a default have none."""
    try:
        lines = (text := profile.read_text(encoding="utf-8-sig")).splitlines()
    except (OSError, UnicodeDecodeError):
        return tuple(found)
    answer: list[Problem] = []
    for problem in found:
        keys = problem.place.split(".")
        line = line_of(text, tuple(keys))
        # Of a key that is not there, the line of the table around it is found.
        stands = line is not None and re.match(rf"""\s*["']?{re.escape(keys[-1])}["']?\s*=""", lines[line - 1])
        answer.append(Problem(f"line {line}: {problem.place}", problem.what, problem.fix) if stands else problem)
    return tuple(answer)


def _in_our_words(problem: Problem, chosen: TrainingPlan) -> Problem:
    return Problem(words.place(problem.place, chosen.extra), problem.what, problem.fix)
