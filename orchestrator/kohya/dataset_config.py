"""The --dataset_config of sd-scripts: which folders, how often, at which size.

Unlike --config_file this one is checked strictly by sd-scripts: an unknown key, or an int where it wants a float,
ends the run.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import DatasetError, Problem
from orchestrator.files import write_text
from orchestrator.kohya import toml_file

CAPTION_EXTENSION = ".txt"


@dataclass(frozen=True)
class Subset:
    """One folder of pictures with captions beside them.

    `folder` is made absolute when written, for sd-scripts reads a relative one from wherever it was started.
    `class_tokens` is what a picture without caption is trained as. `regularisation` marks pictures of the class, not of
    the subject; with `alpha_mask` only what is opaque is learned.
    """

    folder: Path
    repeats: int = 1
    class_tokens: str = ""
    regularisation: bool = False
    alpha_mask: bool = False


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


def check(values: Mapping[str, Any]) -> list[Problem]:
    """Everything for which sd-scripts would refuse the configuration, or read nothing from it and end with exit code 0.

    The rules are those of `config_util.py` of v0.10.1 for pictures with captions in files beside them.
    """
    problems = [
        Problem(name, "is no part of a dataset_config", "only general and datasets are")
        for name in values.keys() - {"general", "datasets"}
    ]
    problems += _wrong("general", values.get("general", {}), {**_DATASET, **_SUBSET})
    datasets = values.get("datasets") or ()
    for number, dataset in enumerate(datasets):
        place = f"datasets[{number}]"
        own = {name: value for name, value in dataset.items() if name != "subsets"}
        problems += _wrong(place, own, {**_DATASET, **_SUBSET})
        for index, subset in enumerate(dataset.get("subsets", ())):
            inner = f"{place}.subsets[{index}]"
            problems += _wrong(inner, subset, {**_SUBSET, **_SUBSET_ONLY})
            if "image_dir" not in subset:
                problems.append(Problem(f"{inner}.image_dir", "must be given", "name the folder of the pictures"))
    if not any(dataset.get("subsets") for dataset in datasets):
        problems.append(Problem("datasets", "there is no folder to train on", "sd-scripts would end with exit code 0"))
    return problems


def limits(dataset: Mapping[str, Any], *, steps: int) -> list[Problem]:
    """What of a `[[datasets]]` table's buckets sd-scripts stops at with an AssertionError; the place is the key.

    `steps` is what the script wants bucket_reso_steps to be a multiple of. Values of a wrong kind are passed over.
    """
    if not dataset.get("enable_bucket"):
        return []
    size = dataset.get("resolution", 0)
    sides = list(size) if isinstance(size, (list, tuple)) else [size]
    found, low, high = (dataset.get(key) for key in ("bucket_reso_steps", "min_bucket_reso", "max_bucket_reso"))
    if not isinstance(found, int) or not all(isinstance(side, int) for side in sides):
        return []
    if found < 1 or found % steps:
        return [
            Problem("bucket_reso_steps", f"{found} is no multiple of {steps}, as this script wants", f"write {steps}")
        ]
    problems: list[Problem] = []
    # Both are rounded to whole steps, away from the resolution, before they are compared with it.
    if isinstance(low, int) and low - low % found > min(sides):
        problems.append(
            Problem("min_bucket_reso", f"{low} is more than the resolution ({min(sides)})", f"at most {min(sides)}")
        )
    if isinstance(high, int) and high + -high % found < max(sides):
        problems.append(
            Problem("max_bucket_reso", f"{high} is less than the resolution ({max(sides)})", f"at least {max(sides)}")
        )
    return problems


def write(path: Path, subsets: Sequence[Subset], **options: Any) -> Path:
    """Write the file; the options are those of `values`. Raises `DatasetError`, `StorageError`.

    Without a seal: it lies with the pictures, for whoever trains on them by hand.
    """
    return write_text(path, toml_file.text(values(subsets, **options)))


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
    if subset.regularisation:
        entry["is_reg"] = True
    if subset.alpha_mask:
        entry["alpha_mask"] = True
    return entry


def _wrong(place: str, values: Mapping[str, Any], known: Mapping[str, _Kind]) -> Iterator[Problem]:
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            yield Problem(f"{place}.{name}", "is not known here", f"did you mean {near[0]}?" if near else "remove it")
        elif not known[name][0](value):
            yield Problem(f"{place}.{name}", f"is {value!r}", f"it must be {known[name][1]}")


_Kind = tuple[Callable[[Any], bool], str]


def _is_int(value: Any) -> bool:
    return isinstance(value, int)  # true and false pass there, too (observed)


def _is_float(value: Any) -> bool:
    return isinstance(value, float)


def _is_size(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_int, value)))


def _is_range(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_float, value))


_INT: _Kind = (_is_int, "a whole number")
_FLOAT: _Kind = (_is_float, "a number with a decimal point")
_NUMBER: _Kind = (lambda v: isinstance(v, (int, float)), "a number")
_BOOL: _Kind = (lambda v: isinstance(v, bool), "true or false")
_TEXT: _Kind = (lambda v: isinstance(v, str), "text in quotes")
#: Where each key may stand: in a dataset or in `general`; in a subset or in either of these; in a subset alone.
_DATASET: dict[str, _Kind] = {
    **dict.fromkeys(("batch_size", "bucket_reso_steps", "max_bucket_reso", "min_bucket_reso", "validation_seed"), _INT),
    **dict.fromkeys(("bucket_no_upscale", "enable_bucket"), _BOOL),
    **dict.fromkeys(("validation_split", "network_multiplier"), _FLOAT),
    "resolution": (_is_size, "a whole number or [width, height]"),
    "resize_interpolation": _TEXT,
}
_SUBSET: dict[str, _Kind] = {
    **dict.fromkeys(("num_repeats", "keep_tokens", "token_warmup_min", "caption_dropout_every_n_epochs"), _INT),
    **dict.fromkeys(("token_warmup_step", "caption_dropout_rate", "caption_tag_dropout_rate"), _NUMBER),
    **dict.fromkeys(
        ("color_aug", "flip_aug", "random_crop", "shuffle_caption", "enable_wildcard", "cache_info"), _BOOL
    ),
    **dict.fromkeys(
        (
            "keep_tokens_separator", "secondary_separator", "caption_separator", "caption_prefix", "caption_suffix",
            "resize_interpolation", "caption_extension", "class_tokens",
        ), _TEXT,
    ),
    "custom_attributes": (lambda v: isinstance(v, Mapping), "a table"),
    "face_crop_aug_range": (_is_range, "two numbers with decimal points"),
}  # fmt: skip
_SUBSET_ONLY: dict[str, _Kind] = {"image_dir": _TEXT, "is_reg": _BOOL, "alpha_mask": _BOOL}
