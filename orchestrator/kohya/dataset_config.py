"""The --dataset_config of sd-scripts: which folders, how often, at which size.

Unlike --config_file this one is checked strictly by sd-scripts: an unknown key, or an int where it wants a float,
ends the run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import DatasetError
from orchestrator.kohya import toml_file

CAPTION_EXTENSION = ".txt"


@dataclass(frozen=True)
class Subset:
    """One folder of pictures with captions beside them.

    `folder` is made absolute when written, for sd-scripts reads a relative one from wherever it was started.
    `class_tokens` is what a picture without caption is trained as.
    """

    folder: Path
    repeats: int = 1
    class_tokens: str = ""


def values(
    subsets: Sequence[Subset],
    *,
    resolution: int | tuple[int, int] = 512,
    batch_size: int = 1,
    buckets: bool = True,
    flip: bool = False,
    keep_tokens: int = 0,
    shuffle_caption: bool = False,
) -> dict[str, Any]:
    """The configuration as nested dicts. `resolution` is the side of a square or (width, height), in pixels.

    With `buckets` a picture of another shape keeps its shape (sides in steps of 64 px, never enlarged); without, it
    is cropped. Raises `DatasetError` when there is nothing to train on.
    """
    if not subsets:
        raise DatasetError(
            "The dataset has no groups, so there is nothing to train on.",
            fix="Add [[dataset.groups]] to lora.toml and build the dataset.",
        )
    width, height = (resolution, resolution) if isinstance(resolution, int) else resolution
    dataset: dict[str, Any] = {"resolution": [width, height], "batch_size": batch_size, "enable_bucket": buckets}
    if buckets:
        # The limits of a bucket's sides are ignored with bucket_no_upscale, and still compared with the resolution.
        dataset |= {
            "min_bucket_reso": min(256, width, height),
            "max_bucket_reso": max(1024, width, height),
            "bucket_reso_steps": 64,
            "bucket_no_upscale": True,
        }
    dataset["subsets"] = [_subset(subset) for subset in subsets]
    general = {
        "caption_extension": CAPTION_EXTENSION,
        "shuffle_caption": shuffle_caption,
        "keep_tokens": keep_tokens,
        "flip_aug": flip,
    }
    return {"general": general, "datasets": [dataset]}


def write(path: Path, subsets: Sequence[Subset], **options: Any) -> Path:
    """Write the file; the options are those of `values`. Raises `DatasetError`, `StorageError`."""
    return toml_file.write(path, values(subsets, **options))


def _subset(subset: Subset) -> dict[str, Any]:
    if isinstance(subset.repeats, bool) or not isinstance(subset.repeats, int) or subset.repeats < 1:
        raise DatasetError(
            f"{subset.folder.name}: repeats must be a whole number of at least 1, not {subset.repeats!r}."
        )
    # Not resolve(): a mapped drive or a link must stay the path the user knows.
    folder = os.path.abspath(subset.folder)  # noqa: PTH100
    entry: dict[str, Any] = {"image_dir": folder, "num_repeats": subset.repeats}
    if subset.class_tokens:
        entry["class_tokens"] = subset.class_tokens
    return entry
