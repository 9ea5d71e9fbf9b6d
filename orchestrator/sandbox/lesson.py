"""What the simulated trainer learns: the pictures and captions of the dataset, turned into a LoRA's tensors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.sandbox.dataset_reading import ReadDataset

if TYPE_CHECKING:
    from orchestrator.sandbox.checkpoints import Tensor

#: Environment variable that names the simulated world: story, equal or spike.
WORLD = "ORCHESTRATOR_SANDBOX_WORLD"


@dataclass(frozen=True)
class Lesson:
    """What is to be learned, and the weights that hold it after any epoch.

    `sources` says for some pictures that other pixels are used: those kept in an old cache file.
    """

    args: argparse.Namespace
    datasets: tuple[ReadDataset, ...]
    sources: Mapping[Path, Path]
    dim: int
    alpha: float
    blown_up: bool

    def weights(self, epoch: int, epochs: int) -> dict[str, Tensor]:
        """Return the LoRA's tensors (fp32) after `epoch` of `epochs`; all NaN when the learning rate was far too
        high.
        """
        import numpy as np

        from orchestrator.sandbox.learned import learn, tensors
        from orchestrator.sandbox.worlds import WORLDS

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
        made = tensors(learned, self.dim, self.alpha, self.args.seed)
        return {name: np.full_like(value, np.nan) for name, value in made.items()} if self.blown_up else dict(made)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors."""
        return {name: value.shape for name, value in self.weights(1, 1).items()}
