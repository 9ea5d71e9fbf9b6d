"""The simulated trainer reads its dataset: folders, pictures, captions, with sd-scripts' warnings and failures.

A missing caption is a warning (the class tokens are used), an empty one an AssertionError, one that is not UTF-8 a
UnicodeDecodeError; a folder without pictures is left out and never an error.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.sandbox.buckets import BucketRules, Buckets, Size, fill, size_in_cache_name, training_size
from orchestrator.sandbox.captions import count_tags, read_captions, warn_about_missing
from orchestrator.sandbox.console_output import Console, bar_over
from orchestrator.sandbox.dataset_options import DatasetOptions, SubsetOptions
from orchestrator.sandbox.dataset_summary import ReadSubset, described

#: Extensions are seen in all-lower or all-upper case only.
_EXTENSIONS = tuple(cased for name in (".png", ".jpg", ".jpeg", ".webp", ".bmp") for cased in (name, name.upper()))
_CACHE_END = "_sd.npz"


@dataclass(frozen=True)
class TrainingPicture:
    """One picture of the dataset; `size` is (width, height) in pixels, (0, 0) when the file is no picture."""

    path: Path
    caption: str
    repeats: int
    size: Size
    is_reg: bool
    target: Size


@dataclass(frozen=True)
class ReadDataset:
    """A dataset ready to train from."""

    options: DatasetOptions
    subsets: tuple[ReadSubset, ...]
    pictures: tuple[TrainingPicture, ...]
    buckets: Buckets
    tag_frequency: dict[str, dict[str, int]]
    train_count: int
    reg_count: int
    validation_count: int

    @property
    def batches(self) -> int:
        """Batches per epoch."""
        return self.buckets.batches(self.options.batch_size)

    @property
    def resolution(self) -> Size:
        """Training size (width, height) in pixels."""
        assert self.options.resolution is not None
        return self.options.resolution


@dataclass(frozen=True)
class _Found:
    path: Path
    caption: str
    repeats: int
    size: Size | None
    is_reg: bool


def subfolder_subsets(train_dir: str | None, reg_dir: str | None, console: Console) -> list[dict[str, Any]]:
    """Describe the folders `<repeats>_<class tokens>` inside `train_dir` and `reg_dir` as subsets of a dataset
    description.
    """
    subsets = []
    for parent, is_reg in ((train_dir, False), (reg_dir, True)):
        if parent is None or not Path(parent).is_dir():
            continue
        for folder in Path(parent).iterdir():
            if not folder.is_dir():
                continue
            first, *rest = folder.name.split("_")
            try:
                repeats = int(first)
            except ValueError:
                console.warning(
                    f"ignore directory without repeats / 繰り返し回数のないディレクトリを無視します: {folder.name}",
                    "config_util.py:607",
                )
                continue
            if repeats >= 1:
                tokens = "_".join(rest)
                subsets.append(
                    {"image_dir": str(folder), "num_repeats": repeats, "is_reg": is_reg, "class_tokens": tokens}
                )
    return subsets


def read_datasets(
    every: Sequence[DatasetOptions], console: Console, cache_end: str = _CACHE_END
) -> tuple[ReadDataset, ...]:
    """Read all datasets, describe them in the log, then sort their pictures into buckets.

    `cache_end`: how the names of latents files end, which also tell a picture's size.
    """
    gathered = [_gather(options, console, cache_end) for options in every]
    console.info(
        described([(options, found[0]) for options, found in zip(every, gathered, strict=True)]), "config_util.py:580"
    )
    return tuple(
        _sorted_into_buckets(index, options, found, console)
        for index, (options, found) in enumerate(zip(every, gathered, strict=True))
    )


_Gathered = tuple[list[ReadSubset], list[_Found], dict[str, dict[str, int]], int, int, int]


def _gather(options: DatasetOptions, console: Console, cache_end: str) -> _Gathered:
    assert options.resolution is not None, "resolution is required / resolution（解像度）指定は必須です"
    console.info("prepare images.", "train_util.py:2112")
    subsets: list[ReadSubset] = []
    found: list[_Found] = []
    frequency: dict[str, dict[str, int]] = {}
    left_out = 0
    for subset in options.subsets:
        if subset.num_repeats < 1:
            console.warning(
                f"ignore subset with image_dir='{subset.image_dir}': num_repeats is less than 1 / "
                f"num_repeatsが1を下回っているためサブセットを無視します: {subset.num_repeats}",
                "train_util.py:2118",
            )
            continue
        if any(subset.image_dir == earlier.options.image_dir for earlier in subsets):
            console.warning(
                f"ignore duplicated subset with image_dir='{subset.image_dir}': use the first one / "
                "既にサブセットが登録されているため、重複した後発のサブセットを無視します",
                "train_util.py:2124",
            )
            continue
        pictures, held_back = _read_folder(subset, options, frequency, console, cache_end)
        left_out += held_back
        if not pictures:
            console.warning(
                f"ignore subset with image_dir='{subset.image_dir}': no images found / "
                "画像が見つからないためサブセットを無視します",
                "train_util.py:2131",
            )
            continue
        subsets.append(ReadSubset(subset, len(pictures)))
        found.extend(pictures)
    train_count = sum(picture.repeats for picture in found if not picture.is_reg)
    reg_count = sum(picture.repeats for picture in found if picture.is_reg)
    console.info(f"{train_count} train images with repeats.", "train_util.py:2158")
    console.info(f"{reg_count} reg images with repeats.", "train_util.py:2162")
    if train_count < reg_count:
        console.warning(
            "some of reg images are not used / 正則化画像の数が多いので、一部使用されない正則化画像があります",
            "train_util.py:2164",
        )
    if reg_count == 0:
        console.warning("no regularization images / 正則化画像が見つかりませんでした", "train_util.py:2167")
    return subsets, _balanced(found, train_count), frequency, train_count, reg_count, left_out


def _balanced(found: list[_Found], train_count: int) -> list[_Found]:
    """Use regularization pictures until there are as many of them as training pictures: leave some out or repeat
    some.
    """
    regs = [picture for picture in found if picture.is_reg]
    used: list[int] = [0] * len(regs)
    total = 0
    first = True
    while regs and total < train_count:
        for index, picture in enumerate(regs):
            more = picture.repeats if first else 1
            used[index] += more
            total += more
            if total >= train_count:
                break
        first = False
    kept = [
        _Found(picture.path, picture.caption, repeats, picture.size, True)
        for picture, repeats in zip(regs, used, strict=True)
        if repeats
    ]
    return [picture for picture in found if not picture.is_reg] + kept


def _read_folder(
    subset: SubsetOptions,
    options: DatasetOptions,
    frequency: dict[str, dict[str, int]],
    console: Console,
    cache_end: str,
) -> tuple[list[_Found], int]:
    folder = Path(subset.image_dir)
    if not folder.is_dir():
        console.warning(f"not directory: {subset.image_dir}", "train_util.py:1974")
        return [], 0
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(_EXTENSIONS))
    console.info("get image size from name of cache files", "train_util.py:2005")
    sizes = {path: size_in_cache_name(path, cache_end) for path in bar_over(paths)}
    known = sum(size is not None for size in sizes.values())
    console.info(f"set image size from cache files: {known}/{len(paths)}", "train_util.py:2035")
    share = options.values["validation_split"] or 0.0
    kept = paths if subset.is_reg or share <= 0 else _training_part(paths, share, options.values["validation_seed"])
    console.info(f"found directory {subset.image_dir} contains {len(kept)} image files", "train_util.py:2059")
    captions, missing = read_captions(kept, subset, console)
    count_tags(frequency.setdefault(folder.name, {}), captions)
    warn_about_missing(missing, console)
    return [
        _Found(path, caption, subset.num_repeats, sizes[path], subset.is_reg)
        for path, caption in zip(kept, captions, strict=True)
    ], len(paths) - len(kept)


def _training_part(paths: list[Path], share: float, seed: int | None) -> list[Path]:
    shuffled = list(paths)
    if seed is not None:
        random.Random(seed).shuffle(shuffled)
    return shuffled[: len(shuffled) - round(len(shuffled) * share)]


def _sorted_into_buckets(index: int, options: DatasetOptions, gathered: _Gathered, console: Console) -> ReadDataset:
    subsets, found, frequency, train_count, reg_count, left_out = gathered
    assert options.resolution is not None
    rules = _rules(options, console)
    console.info(f"[Prepare dataset {index}]", "config_util.py:592")
    console.info("loading image sizes.", "train_util.py:992")
    sizes = [picture.size or _size(picture.path, console) for picture in bar_over(found)]
    console.info("make buckets" if options.enable_bucket else "prepare dataset", "train_util.py:1017")
    if options.enable_bucket and options.bucket_no_upscale:
        console.warning(
            "min_bucket_reso and max_bucket_reso are ignored if bucket_no_upscale is set, "
            "because bucket reso is defined by image size automatically / "
            "bucket_no_upscaleが指定された場合は、bucketの解像度は画像サイズから自動計算されるため、"
            "min_bucket_resoとmax_bucket_resoは無視されます",
            "train_util.py:1032",
        )
    buckets = fill([(size, picture.repeats) for size, picture in zip(sizes, found, strict=True)], rules)
    if options.enable_bucket:
        console.info(
            "number of images (including repeats) / 各bucketの画像枚数（繰り返し回数を含む）", "train_util.py:1062"
        )
        for number, (size, count) in enumerate(buckets.counts.items()):
            console.info(f"bucket {number}: resolution {size}, count: {count}", "train_util.py:1067")
        console.info(f"mean ar error (without repeats): {buckets.aspect_error}", "train_util.py:1075")
    pictures = tuple(
        TrainingPicture(
            picture.path, picture.caption, picture.repeats, size, picture.is_reg, training_size(size, rules)
        )
        for picture, size in zip(found, sizes, strict=True)
    )
    return ReadDataset(options, tuple(subsets), pictures, buckets, frequency, train_count, reg_count, left_out)


def _rules(options: DatasetOptions, console: Console) -> BucketRules:
    assert options.resolution is not None
    steps = options.bucket_reso_steps
    smallest = options.min_bucket_reso - options.min_bucket_reso % steps
    largest = options.max_bucket_reso + (-options.max_bucket_reso) % steps
    if options.enable_bucket:
        for name, given, used in (
            ("min", options.min_bucket_reso, smallest),
            ("max", options.max_bucket_reso, largest),
        ):
            if given != used:
                console.warning(
                    f"{name}_bucket_reso is adjusted to be multiple of bucket_reso_steps / "
                    f"{name}_bucket_resoがbucket_reso_stepsの倍数になるように調整されました: {given} -> {used}",
                    "train_util.py:753",
                )
        assert min(options.resolution) >= smallest, (
            "min_bucket_reso must be equal or less than resolution / min_bucket_resoは最小解像度より大きくできません。"
            "解像度を大きくするかmin_bucket_resoを小さくしてください"
        )
        assert max(options.resolution) <= largest, (
            "max_bucket_reso must be equal or greater than resolution / "
            "max_bucket_resoは最大解像度より小さくできません。"
            "解像度を小さくするかmin_bucket_resoを大きくしてください"
        )
    return BucketRules(options.resolution, options.enable_bucket, smallest, largest, steps, options.bucket_no_upscale)


def _size(path: Path, console: Console) -> Size:
    """Size in pixels from the file's header, (0, 0) for a file that is no picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.size
    except UnidentifiedImageError as error:
        console.warning(f"failed to get image size: {path}, error: {error}", "train_util.py:1489")
        return 0, 0
