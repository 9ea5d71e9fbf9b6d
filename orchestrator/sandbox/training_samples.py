"""The pictures the simulated trainer draws while it trains: when, from which prompts, under which names.

As sd-scripts' sample_images does, after the file and the state of an epoch were saved.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import toml

from orchestrator.sandbox.console_output import Console, bar_over
from orchestrator.sandbox.lesson import Lesson

#: Flags in a line of the prompt file, and what they become.
_NUMBERS = {"w": "width", "h": "height", "d": "seed", "s": "sample_steps"}
_TEXTS = {"n": "negative_prompt", "ss": "sample_sampler", "l": "scale"}


def due(args: argparse.Namespace, epoch: int | None, step: int) -> bool:
    """Whether pictures are drawn now. `epoch` is None within an epoch; `step` 0 is before the first one."""
    if not args.sample_prompts:
        return False
    if step == 0:
        return bool(args.sample_at_first)
    if args.sample_every_n_epochs is not None:
        # With both, steps are ignored.
        return epoch is not None and epoch % args.sample_every_n_epochs == 0
    return args.sample_every_n_steps is not None and epoch is None and step % args.sample_every_n_steps == 0


def read_prompts(file: Path) -> list[dict[str, Any]]:
    """The prompts of a .txt (one a line, with flags), .toml or .json file."""
    if file.suffix == ".toml":
        group = toml.loads(file.read_text(encoding="utf-8"))["prompt"]
        return [{**group, **subset} for subset in group["subset"]]
    if file.suffix == ".json":
        listed: list[Any] = json.loads(file.read_text(encoding="utf-8"))
        return [from_line(each) if isinstance(each, str) else each for each in listed]
    lines = file.read_text(encoding="utf-8").splitlines()
    return [from_line(line.strip()) for line in lines if line.strip() and line[0] != "#"]


def from_line(line: str) -> dict[str, Any]:
    """One prompt with its flags: `a cat --w 512 --h 768 --d 1 --s 20 --l 7 --n blurry`."""
    text, *flags = re.split(r" --", line)
    prompt: dict[str, Any] = {"prompt": text}
    for flag in flags:
        name, _, value = flag.strip().partition(" ")
        if name in _NUMBERS and value.strip().isdigit():
            prompt[_NUMBERS[name]] = int(value)
        elif name in _TEXTS:
            prompt[_TEXTS[name]] = float(value) if name == "l" else value.strip()
    return prompt


def draw(args: argparse.Namespace, console: Console, lesson: Lesson, epoch: int | None, step: int, epochs: int) -> None:
    """Draw every prompt. A prompt file that is not there is an error line and nothing else."""
    console.info("", "train_util.py:6396")
    console.info(f"generating sample images at step / サンプル画像生成 ステップ: {step}", "train_util.py:6397")
    file = Path(args.sample_prompts)
    if not file.is_file():
        console.error(f"No prompt file / プロンプトファイルがありません: {args.sample_prompts}", "train_util.py:6399")
        return
    folder = Path(args.output_dir) / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    known = lesson.learned(max(1, epoch or 1), epochs)
    for number, prompt in enumerate(read_prompts(file)):
        _draw_one(args, console, prompt, known, folder, _stem(args, epoch, step, number))


def _stem(args: argparse.Namespace, epoch: int | None, step: int, number: int) -> str:
    name = "" if args.output_name is None else args.output_name + "_"
    when = f"{step:06d}" if epoch is None else f"e{epoch:06d}"
    return f"{name}{when}_{number:02d}_{time.strftime('%Y%m%d%H%M%S', time.localtime())}"


def _draw_one(
    args: argparse.Namespace, console: Console, prompt: dict[str, Any], known: Any, folder: Path, stem: str
) -> None:
    from orchestrator.sandbox.imagine import Request, paint

    width, height = (max(64, side - side % 8) for side in (prompt.get("width", 512), prompt.get("height", 512)))
    steps, seed = prompt.get("sample_steps", 30), prompt.get("seed")
    for name, value in (
        ("prompt", prompt.get("prompt", "")), ("negative_prompt", prompt.get("negative_prompt")),
        ("height", height), ("width", width), ("sample_steps", steps), ("scale", prompt.get("scale", 7.5)),
        ("sample_sampler", prompt.get("sample_sampler", args.sample_sampler)),
    ):  # fmt: skip
        console.info(f"{name}: {value}", "train_util.py:6558")
    if seed is not None:
        console.info(f"seed: {seed}", "train_util.py:6566")
    for _ in bar_over(range(steps)):
        pass
    request = Request(
        prompt=str(prompt.get("prompt", "")),
        negative_prompt=str(prompt.get("negative_prompt") or ""),
        seed=random.randint(0, 2**31) if seed is None else seed,
        steps=steps,
        width=width,
        height=height,
        loras=((known, 1.0),),
    )
    paint(request).save(folder / f"{stem}{'' if seed is None else f'_{seed}'}.png")
