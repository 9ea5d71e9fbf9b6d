"""Pictures that sd-scripts draws while it trains: the file of prompts it reads, and the pictures it leaves.

The form of the file was read in `load_prompts` and `line_to_prompt_dict` of sd-scripts 48d368fa: one prompt a line,
` --x value` after it, a line beginning with # is a comment. What is not asked for is drawn with 30 steps at 512 px.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import Problem
from orchestrator.files import write_text
from orchestrator.profile.model import Profile, Samples, TrainingPlan

PROMPTS_NAME = "samples.txt"
#: Below the folder of the LoRA files; sd-scripts decides.
FOLDER_NAME = "sample"
#: NAME_e000002_00_20261122131546_1.png: epoch, number of the prompt, time, and the seed where one was asked for.
_FILE = re.compile(r"_e(?P<epoch>\d{6})_(?P<prompt>\d{2,})_(?P<time>\d{14})(?:_(?P<seed>\d+))?\.png$")
#: Words after ` --` that sd-scripts understands there.
_FLAGS = ("w", "h", "d", "s", "l", "g", "n", "ss", "cn", "ctr", "rcfg", "fs")
_FLAG = re.compile(rf" --({'|'.join(_FLAGS)}) ", re.IGNORECASE)
_LORA_TAG = re.compile(r"<(lora|lyco|hypernet):", re.IGNORECASE)


@dataclass(frozen=True)
class Sample:
    """One picture drawn meanwhile. `prompt` counts from 0; `seed` is None where none was asked for."""

    file: Path
    epoch: int
    prompt: int
    seed: int | None


def values(chosen: TrainingPlan) -> dict[str, Any]:
    """sd-scripts' arguments for the samples of `chosen`; the file of prompts by its name alone. Empty = none are
    drawn.
    """
    if not chosen.samples.prompts:
        return {}
    return {
        "sample_prompts": PROMPTS_NAME,
        "sample_every_n_epochs": chosen.samples.every_epochs or chosen.save_every,
        "sample_sampler": chosen.samples.sampler,
    }


def lines(chosen: TrainingPlan, profile: Profile, family: str) -> list[str]:
    """The lines of the file of prompts.

    Size, steps, strength of the prompt, negative prompt and a seed (that of the training, so that epochs can be
    compared) are taken from the profile wherever a prompt does not give them itself as ` --w 512`.
    """
    general = profile.generation
    defaults = {
        "w": str(general.width),
        "h": str(general.height),
        "s": str(general.steps),
        "d": str(chosen.seed),
    }
    if family not in {"flux", "sd3"}:  # these are drawn without a negative prompt
        defaults |= {"l": f"{general.cfg_scale:g}", "n": _one_line(profile.fill(general.negative_prompt))}
    return [_line(_one_line(profile.fill(prompt)), defaults) for prompt in chosen.samples.prompts]


def problems(plan: Samples, profile: Profile) -> list[Problem]:
    """What is wrong with the prompts."""
    found: list[Problem] = []
    for number, prompt in enumerate(plan.prompts, start=1):
        place = f"training.samples.prompts #{number}"
        text = _one_line(profile.fill(prompt))
        if not text or text.startswith("--"):
            found.append(Problem(place, "says nothing to draw", "begin with the words of the prompt"))
        elif _LORA_TAG.search(text):
            found.append(
                Problem(place, "holds a tag of A1111, which sd-scripts reads as words", "leave <lora:…> out of it")
            )
        for unknown in re.findall(r" --(\w+)", _FLAG.sub(" ", text)):
            found.append(
                Problem(place, f"--{unknown} means nothing to sd-scripts", f"it knows --{', --'.join(_FLAGS[:7])}")
            )
    return found


def write(folder: Path, prompts: tuple[str, ...]) -> Path | None:
    """Write the file of prompts into a run's folder; None when there are none. Raises `StorageError`."""
    return write_text(folder / PROMPTS_NAME, "".join(f"{line}\n" for line in prompts)) if prompts else None


def read(folder: Path) -> tuple[str, ...]:
    """The prompts written into a run's folder; none where there is no such file."""
    try:
        return tuple((folder / PROMPTS_NAME).read_text(encoding="utf-8").splitlines())
    except OSError:
        return ()


def drawn(output_folder: Path) -> Iterator[Sample]:
    """The pictures drawn so far, by epoch and prompt; the newest where an epoch was trained twice."""
    newest: dict[tuple[int, int], tuple[str, Sample]] = {}
    for file in (output_folder / FOLDER_NAME).glob("*.png"):
        match = _FILE.search(file.name)
        if match:
            seed = None if match["seed"] is None else int(match["seed"])
            sample = Sample(file, int(match["epoch"]), int(match["prompt"]), seed)
            place = (sample.epoch, sample.prompt)
            if place not in newest or newest[place][0] < match["time"]:
                newest[place] = (match["time"], sample)
    for place in sorted(newest):
        yield newest[place][1]


def _line(text: str, defaults: Mapping[str, str]) -> str:
    given = {flag.lower() for flag in _FLAG.findall(f"{text} ")}
    line = text + "".join(f" --{flag} {value}" for flag, value in defaults.items() if flag not in given and value)
    # sd-scripts takes a line for a comment when # is its very first sign, and strips blanks afterwards.
    return f" {line}" if line.startswith("#") else line


def _one_line(text: str) -> str:
    return " ".join(text.split())
