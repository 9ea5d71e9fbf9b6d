"""What the simulated trainer learns: the pictures and captions of the dataset, turned into a LoRA's tensors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.sandbox.dataset_reading import ReadDataset
from orchestrator.sandbox.training_kinds import SD, Kind

if TYPE_CHECKING:
    from orchestrator.sandbox.checkpoints import Tensor
    from orchestrator.sandbox.learned import Learned

#: Environment variable that names the simulated world: story, equal or spike.
WORLD = "ORCHESTRATOR_SANDBOX_WORLD"


@dataclass
class Lesson:
    """What is to be learned, and the weights that hold it after any epoch.

    `sources` says for some pictures that other pixels are used: those kept in an old cache file. `blown_up` says that
    the weights are no numbers any more.
    """

    args: argparse.Namespace
    datasets: tuple[ReadDataset, ...]
    sources: Mapping[Path, Path]
    dim: int
    alpha: float
    blown_up: bool
    kind: Kind = SD
    _last: tuple[tuple[int, int], Learned] | None = field(default=None, init=False)

    def weights(self, epoch: int, epochs: int) -> dict[str, Tensor]:
        """Return the LoRA's tensors (fp32) after `epoch` of `epochs`; all NaN when it blew up."""
        import numpy as np

        from orchestrator.sandbox.learned import tensors

        # A part that is not trained is not in the file either (networks/lora.py, apply_to).
        parts = (
            "lora_unet_"
            if self.args.network_train_unet_only
            else "lora_te_"
            if self.args.network_train_text_encoder_only
            else "lora_"
        )
        made = tensors(self.learned(epoch, epochs), self.dim, self.alpha, self.args.seed, parts=parts)
        named = {self._named(name): value for name, value in made.items()}
        return {name: np.full_like(value, np.nan) for name, value in named.items()} if self.blown_up else named

    def _named(self, name: str) -> str:
        start = next((start for start in self.kind.renamed if name.startswith(start)), "")
        return self.kind.renamed[start] + name[len(start) :] if start else name

    def learned(self, epoch: int, epochs: int) -> Learned:
        """What is known after `epoch` of `epochs`. Raises `ValueError` for a world that does not exist."""
        from orchestrator.sandbox.learned import learn
        from orchestrator.sandbox.worlds import WORLDS

        if self._last is not None and self._last[0] == (epoch, epochs):
            return self._last[1]

        pictures = [picture for dataset in self.datasets for picture in dataset.pictures if not picture.is_reg]
        chosen = os.environ.get(WORLD, "story")
        world = next((known for known in WORLDS if known == chosen), None)
        if world is None:
            raise ValueError(f"{WORLD} is {chosen!r}; there are {', '.join(WORLDS)}")
        learned = learn(
            [(self.sources.get(picture.path, picture.path), picture.caption) for picture in pictures],
            [picture.repeats for picture in pictures],
            epoch=min(epoch, epochs),
            epochs=epochs,
            world=world,
        )
        self._last = ((epoch, epochs), learned)
        return learned

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors."""
        return {name: value.shape for name, value in self.weights(1, 1).items()}
