"""The sd-scripts under test as the contract tests see it: its install, a small dataset, a way to run it.

Everything is small, so that a processor will do: four pictures, 64², batches of four, one step an epoch. A real install
takes 10 to 20 s to start; so whatever several tests look at is trained once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toml
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

import orchestrator.sandbox
from orchestrator.kohya import console
from orchestrator.kohya.install import KohyaInstall, find

#: A real start reads 2 GB and imports torch, on a machine that may be busy.
_TIMEOUT_S = 900
NAME = "contract"
EPOCHS = 5


@dataclass(frozen=True)
class Ended:
    """A trainer that ended: exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last line of stderr: that of a traceback, or argparse's."""
        return next((line for line in reversed(self.err.splitlines()) if line.strip()), "")

    @property
    def events(self) -> list[console.Event]:
        """What our parser makes of it, stdout first."""
        return console.parse([self.out.encode(), self.err.encode()])


@dataclass
class Kohya:
    """One install under test. `base` is an SD1.5 checkpoint, None when none was named."""

    install: KohyaInstall
    base: Path | None
    home: Path
    real: bool
    _made: dict[str, Path] = field(default_factory=dict)

    def needs_a_model(self) -> None:
        """Skip the test where nothing can be trained."""
        if self.base is None:
            pytest.skip("trains, which needs a base checkpoint: --kohya-base FILE")

    def environment(self, **changes: str) -> dict[str, str]:
        """For a child: no wrapping, no more threads than cores, nothing from the hub that is there already."""
        mine = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "1000", "OMP_NUM_THREADS": "1"}
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        return {**inherited, **mine, "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0", **changes}

    def dataset(self, name: str = "data", captions: bool = True) -> Path:
        """A folder of its own with `1_contract woman`: four pictures of 96² with captions."""
        parent = self.home / name
        folder = parent / "1_contract woman"
        if not folder.exists():
            folder.mkdir(parents=True)
            for number in range(4):
                noise = np.random.default_rng(number).integers(0, 255, (96, 96, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / f"img{number}.png")
                if captions:
                    (folder / f"img{number}.txt").write_text(f"contract, number {number}", encoding="utf-8")
        return parent

    def settings(self, folder: Path, **changes: Any) -> dict[str, Any]:
        """A valid run of 5 epochs with a step each, saved to `folder`/out; a change to None leaves the key out."""
        plain = {
            "pretrained_model_name_or_path": str(self.base or self.home / "no-base.safetensors"),
            "train_data_dir": str(self.dataset()),
            "output_dir": str(folder / "out"),
            "output_name": NAME,
            "resolution": "64",
            "caption_extension": ".txt",
            "network_module": "networks.lora",
            "network_dim": 2,
            "network_alpha": 1,
            "train_batch_size": 4,
            "max_train_epochs": EPOCHS,
            "cache_latents": True,
            "learning_rate": 1e-4,
            "unet_lr": 1e-4,
            "text_encoder_lr": [5e-5],
            "seed": 42,
            "max_data_loader_n_workers": 0,
            "mixed_precision": "no",
            "save_precision": "fp16",
        }
        return {key: value for key, value in {**plain, **changes}.items() if value is not None}

    def config(self, folder: Path, **changes: Any) -> Path:
        """The configuration file of such a run, written."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "config.toml"
        file.write_text(toml.dumps(self.settings(folder, **changes)), encoding="utf-8")
        return file

    def train(self, folder: Path, *flags: str, environment: Mapping[str, str] | None = None, **changes: Any) -> Ended:
        """Run the SD1.5 script to its end."""
        file = self.config(folder, **changes)
        return self.run([str(self.install.script), "--config_file", str(file), *flags], environment)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Ended:
        """Run the install's Python in the install's folder."""
        done = subprocess.run(
            [str(self.install.python), *arguments],
            cwd=self.install.root,
            env=self.environment(**(environment or {})),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def ask(self, code: str, given: Any = None) -> Any:
        """Run Python code inside the install; it finds `given` and leaves its `answer`, both as JSON can hold them."""
        whole = (
            "import json, sys\n"
            f"sys.path.insert(0, {str(self.install.root)!r})\n"
            "given = json.loads(sys.argv[1])\n"
            f"{code}\n"
            "print('\\nanswer: ' + json.dumps(answer))\n"
        )
        done = self.run(["-c", whole, json.dumps(given)])
        assert done.code == 0, done.err[-2000:]
        return json.loads(done.out.rpartition("\nanswer: ")[2])

    @cached_property
    def whole_run(self) -> tuple[Path, Ended]:
        """A run of 5 epochs, saved with its state after each second one, with samples and TensorBoard."""
        self.needs_a_model()
        folder = self.home / "whole run [1] é 初音"
        folder.mkdir()
        prompts = folder / "samples.txt"
        prompts.write_text("contract --w 64 --h 64 --d 7 --s 1\n", encoding="utf-8")
        ended = self.train(
            folder, environment={"PYTHONUNBUFFERED": "1"}, save_every_n_epochs=2, save_state=True,
            sample_prompts=str(prompts), sample_every_n_epochs=4, logging_dir=str(folder / "tensorboard"),
            lr_scheduler="cosine",
        )  # fmt: skip
        assert ended.code == 0, ended.err[-2000:]
        return folder, ended


def simulated(home: Path) -> Kohya:
    """The simulated trainer, with a base checkpoint that it takes."""
    base = home / "base.safetensors"
    save_file({"weight": np.zeros(4, dtype=np.float32)}, base)
    return Kohya(find(orchestrator.sandbox.trainer_folder(), sys.executable), base, home, real=False)


def metadata(file: Path) -> dict[str, str]:
    """The metadata of a LoRA file. Raises `SafetensorError` for one that is cut off."""
    with safe_open(file, framework="np") as opened:
        return dict(opened.metadata())


def names(folder: Path) -> set[str]:
    """What a run left in its output folder."""
    return {path.name for path in (folder / "out").iterdir()} if (folder / "out").is_dir() else set()
