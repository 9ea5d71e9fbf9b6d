"""The simulated trainer reads its dataset: folders, pictures, captions, with sd-scripts' warnings and failures.

A missing caption is a warning (the class tokens are used), an empty one an AssertionError, one that is not UTF-8 a
UnicodeDecodeError; a folder without pictures is left out and never an error.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.sandbox.buckets import BucketRules, Buckets, Size, fill, training_size
from orchestrator.sandbox.console_output import Log, bar_over
from orchestrator.sandbox.dataset_options import DatasetOptions, SubsetOptions

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
class ReadSubset:
    """One folder that holds pictures."""

    options: SubsetOptions
    count: int


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


def subfolder_subsets(train_dir: str | None, reg_dir: str | None, log: Log) -> list[dict[str, Any]]:
    """Describe the folders `<repeats>_<class tokens>` inside `train_dir` and `reg_dir` as subsets of a dataset description."""
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
                log.warning(
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


def read_datasets(every: Sequence[DatasetOptions], log: Log) -> tuple[ReadDataset, ...]:
    """Read all datasets, describe them in the log, then sort their pictures into buckets."""
    gathered = [_gather(options, log) for options in every]
    log.info(_described([(options, found[0]) for options, found in zip(every, gathered, strict=True)]), "config_util.py:580")
    return tuple(
        _sorted_into_buckets(index, options, found, log)
        for index, (options, found) in enumerate(zip(every, gathered, strict=True))
    )


_Gathered = tuple[list[ReadSubset], list[_Found], dict[str, dict[str, int]], int, int, int]


def _gather(options: DatasetOptions, log: Log) -> _Gathered:
    assert options.resolution is not None, "resolution is required / resolution（解像度）指定は必須です"
    log.info("prepare images.", "train_util.py:2112")
    subsets: list[ReadSubset] = []
    found: list[_Found] = []
    frequency: dict[str, dict[str, int]] = {}
    left_out = 0
    for subset in options.subsets:
        if subset.num_repeats < 1:
            log.warning(
                f"ignore subset with image_dir='{subset.image_dir}': num_repeats is less than 1 / "
                f"num_repeatsが1を下回っているためサブセットを無視します: {subset.num_repeats}",
                "train_util.py:2118",
            )
            continue
        if any(subset.image_dir == earlier.options.image_dir for earlier in subsets):
            log.warning(
                f"ignore duplicated subset with image_dir='{subset.image_dir}': use the first one / "
                "既にサブセットが登録されているため、重複した後発のサブセットを無視します",
                "train_util.py:2124",
            )
            continue
        pictures, held_back = _read_folder(subset, options, frequency, log)
        left_out += held_back
        if not pictures:
            log.warning(
                f"ignore subset with image_dir='{subset.image_dir}': no images found / "
                "画像が見つからないためサブセットを無視します",
                "train_util.py:2131",
            )
            continue
        subsets.append(ReadSubset(subset, len(pictures)))
        found.extend(pictures)
    train_count = sum(picture.repeats for picture in found if not picture.is_reg)
    reg_count = sum(picture.repeats for picture in found if picture.is_reg)
    log.info(f"{train_count} train images with repeats.", "train_util.py:2158")
    log.info(f"{reg_count} reg images with repeats.", "train_util.py:2162")
    if train_count < reg_count:
        log.warning(
            "some of reg images are not used / 正則化画像の数が多いので、一部使用されない正則化画像があります",
            "train_util.py:2164",
        )
    if reg_count == 0:
        log.warning("no regularization images / 正則化画像が見つかりませんでした", "train_util.py:2167")
    return subsets, _balanced(found, train_count), frequency, train_count, reg_count, left_out


def _balanced(found: list[_Found], train_count: int) -> list[_Found]:
    """Use regularization pictures until there are as many of them as training pictures: leave some out or repeat some."""
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
    subset: SubsetOptions, options: DatasetOptions, frequency: dict[str, dict[str, int]], log: Log
) -> tuple[list[_Found], int]:
    folder = Path(subset.image_dir)
    if not folder.is_dir():
        log.warning(f"not directory: {subset.image_dir}", "train_util.py:1974")
        return [], 0
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(_EXTENSIONS))
    log.info("get image size from name of cache files", "train_util.py:2005")
    sizes = {path: _size_in_cache_name(path) for path in bar_over(paths)}
    known = sum(size is not None for size in sizes.values())
    log.info(f"set image size from cache files: {known}/{len(paths)}", "train_util.py:2035")
    share = options.values["validation_split"] or 0.0
    kept = paths if subset.is_reg or share <= 0 else _training_part(paths, share, options.values["validation_seed"])
    log.info(f"found directory {subset.image_dir} contains {len(kept)} image files", "train_util.py:2059")
    captions, missing = _captions(kept, subset, log)
    _count_tags(frequency.setdefault(folder.name, {}), captions)
    _warn_about_missing(missing, log)
    return [
        _Found(path, caption, subset.num_repeats, sizes[path], subset.is_reg)
        for path, caption in zip(kept, captions, strict=True)
    ], len(paths) - len(kept)


def _training_part(paths: list[Path], share: float, seed: int | None) -> list[Path]:
    shuffled = list(paths)
    if seed is not None:
        random.Random(seed).shuffle(shuffled)
    return shuffled[: len(shuffled) - round(len(shuffled) * share)]


def _size_in_cache_name(path: Path) -> Size | None:
    """The size written in the name of a latents file beside the picture, "img0_0096x0096_sd.npz"; nothing is opened."""
    for cached in sorted(path.parent.glob("*" + _CACHE_END)):
        stem = cached.name[: -len(_CACHE_END)]
        name, _, size = stem.rpartition("_")
        if name == path.stem and "x" in size:
            width, height = size.split("x")
            return int(width), int(height)
    return None


def _captions(paths: list[Path], subset: SubsetOptions, log: Log) -> tuple[list[str], list[Path]]:
    captions, missing = [], []
    for path in bar_over(paths, "read caption"):
        caption = _caption(path, subset, log)
        if caption is None:
            missing.append(path)
            if subset.class_tokens is None:
                log.warning(
                    f"neither caption file nor class tokens are found. use empty caption for {path} / "
                    f"キャプションファイルもclass tokenも見つかりませんでした。空のキャプションを使用します: {path}",
                    "train_util.py:2072",
                )
        captions.append(caption if caption is not None else subset.class_tokens or "")
    return captions, missing


def _caption(path: Path, subset: SubsetOptions, log: Log) -> str | None:
    stem = os.path.splitext(path)[0]  # noqa: PTH122 - the text of the path is what the caption's name is made of
    parts = stem.split("_")
    # Pictures cut out by the face detector carry four numbers behind their name; their caption need not.
    names = [stem, "_".join(parts[:-4]) if len(parts) >= 5 else stem]
    for name in names:
        file = Path(name + subset.caption_extension)
        if file.is_file():
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except UnicodeDecodeError:
                log.error(
                    f"illegal char in file (not UTF-8) / ファイルにUTF-8以外の文字があります: {file}", "train_util.py:1961"
                )
                raise
            assert len(lines) > 0, f"caption file is empty / キャプションファイルが空です: {file}"
            if subset.values["enable_wildcard"]:
                return "\n".join(line.strip() for line in lines if line.strip())
            return lines[0].strip()
    return None


def _count_tags(frequency: dict[str, int], captions: list[str]) -> None:
    for caption in captions:
        for part in caption.split(","):
            tag = part.strip().lower()
            if tag:
                frequency[tag] = frequency.get(tag, 0) + 1


def _warn_about_missing(missing: list[Path], log: Log) -> None:
    if not missing:
        return
    log.warning(
        f"No caption file found for {len(missing)} images. Training will continue without captions for these images. "
        f"If class token exists, it will be used. / {len(missing)}枚の画像にキャプションファイルが見つかりませんでした。"
        "これらの画像についてはキャプションなしで学習を続行します。class tokenが存在する場合はそれを使います。",
        "train_util.py:2090",
    )
    for index, path in enumerate(missing):
        if index == 5:
            log.warning(f"{path}... and {len(missing) - 5} more", "train_util.py:2095")
            break
        log.warning(str(path), "train_util.py:2097")


def _described(every: list[tuple[DatasetOptions, list[ReadSubset]]]) -> str:
    lines: list[str] = []
    for number, (options, subsets) in enumerate(every):
        lines += [
            f"[Dataset {number}]",
            f"  batch_size: {options.batch_size}",
            f"  resolution: {options.resolution}",
            f"  resize_interpolation: {options.values['resize_interpolation']}",
            f"  enable_bucket: {options.enable_bucket}",
        ]
        if options.enable_bucket:
            lines += [
                f"  min_bucket_reso: {options.min_bucket_reso}",
                f"  max_bucket_reso: {options.max_bucket_reso}",
                f"  bucket_reso_steps: {options.bucket_reso_steps}",
                f"  bucket_no_upscale: {options.bucket_no_upscale}",
            ]
        lines.append("")
        for index, subset in enumerate(subsets):
            lines += _described_subset(index, number, subset)
    return "\n".join([*lines, ""])


def _described_subset(index: int, number: int, subset: ReadSubset) -> list[str]:
    values = subset.options.values
    shown = {
        "image_dir": f'"{subset.options.image_dir}"',
        "image_count": subset.count,
        "num_repeats": subset.options.num_repeats,
        **{
            name: values[name]
            for name in (
                "shuffle_caption", "keep_tokens", "caption_dropout_rate", "caption_dropout_every_n_epochs",
                "caption_tag_dropout_rate", "caption_prefix", "caption_suffix", "color_aug", "flip_aug",
                "face_crop_aug_range", "random_crop",
            )
        },
        "token_warmup_min": f"{values['token_warmup_min']},",
        "token_warmup_step": f"{values['token_warmup_step']},",
        "alpha_mask": values["alpha_mask"],
        "resize_interpolation": values["resize_interpolation"],
        "custom_attributes": values["custom_attributes"] or {},
        "is_reg": subset.options.is_reg,
        "class_tokens": subset.options.class_tokens,
        "caption_extension": subset.options.caption_extension,
    }  # fmt: skip
    return [f"  [Subset {index} of Dataset {number}]", *(f"    {name}: {value}" for name, value in shown.items()), ""]


def _sorted_into_buckets(index: int, options: DatasetOptions, gathered: _Gathered, log: Log) -> ReadDataset:
    subsets, found, frequency, train_count, reg_count, left_out = gathered
    assert options.resolution is not None
    rules = _rules(options, log)
    log.info(f"[Prepare dataset {index}]", "config_util.py:592")
    log.info("loading image sizes.", "train_util.py:992")
    sizes = [picture.size or _size(picture.path) for picture in bar_over(found)]
    log.info("make buckets" if options.enable_bucket else "prepare dataset", "train_util.py:1017")
    if options.enable_bucket and options.bucket_no_upscale:
        log.warning(
            "min_bucket_reso and max_bucket_reso are ignored if bucket_no_upscale is set, because bucket reso is defined by "
            "image size automatically / bucket_no_upscaleが指定された場合は、bucketの解像度は画像サイズから自動計算されるため、"
            "min_bucket_resoとmax_bucket_resoは無視されます",
            "train_util.py:1032",
        )
    buckets = fill([(size, picture.repeats) for size, picture in zip(sizes, found, strict=True)], rules)
    if options.enable_bucket:
        log.info("number of images (including repeats) / 各bucketの画像枚数（繰り返し回数を含む）", "train_util.py:1062")
        for number, (size, count) in enumerate(buckets.counts.items()):
            log.info(f"bucket {number}: resolution {size}, count: {count}", "train_util.py:1067")
        log.info(f"mean ar error (without repeats): {buckets.aspect_error}", "train_util.py:1075")
    pictures = tuple(
        TrainingPicture(
            picture.path, picture.caption, picture.repeats, size, picture.is_reg, training_size(size, rules)
        )
        for picture, size in zip(found, sizes, strict=True)
    )
    return ReadDataset(options, tuple(subsets), pictures, buckets, frequency, train_count, reg_count, left_out)


def _rules(options: DatasetOptions, log: Log) -> BucketRules:
    assert options.resolution is not None
    steps = options.bucket_reso_steps
    smallest = options.min_bucket_reso - options.min_bucket_reso % steps
    largest = options.max_bucket_reso + (-options.max_bucket_reso) % steps
    if options.enable_bucket:
        for name, given, used in (("min", options.min_bucket_reso, smallest), ("max", options.max_bucket_reso, largest)):
            if given != used:
                log.warning(
                    f"{name}_bucket_reso is adjusted to be multiple of bucket_reso_steps / "
                    f"{name}_bucket_resoがbucket_reso_stepsの倍数になるように調整されました: {given} -> {used}",
                    "train_util.py:753",
                )
        assert min(options.resolution) >= smallest, (
            "min_bucket_reso must be equal or less than resolution / min_bucket_resoは最小解像度より大きくできません。"
            "解像度を大きくするかmin_bucket_resoを小さくしてください"
        )
        assert max(options.resolution) <= largest, (
            "max_bucket_reso must be equal or greater than resolution / max_bucket_resoは最大解像度より小さくできません。"
            "解像度を小さくするかmin_bucket_resoを大きくしてください"
        )
    return BucketRules(
        options.resolution, options.enable_bucket, smallest, largest, steps, options.bucket_no_upscale
    )


def _size(path: Path) -> Size:
    """Size in pixels from the file's header, (0, 0) for a file that is no picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.size
    except UnidentifiedImageError:
        return 0, 0
