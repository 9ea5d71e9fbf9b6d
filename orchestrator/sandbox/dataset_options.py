"""The dataset description of the simulated trainer: strict checks with voluptuous' messages, and the search order of
options.

The schema (which key is allowed where, and its type) is that of sd-scripts' `config_util`; unknown keys are an error
here,
unlike in the trainer's main TOML file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toml

from orchestrator.sandbox.console_output import Console

_NUMBER = "number"
_PAIR = "pair of floats"
_SIZE = "size"

_SUBSET: dict[str, str] = {
    "color_aug": "bool", "face_crop_aug_range": _PAIR, "flip_aug": "bool", "num_repeats": "int", "random_crop": "bool",
    "shuffle_caption": "bool", "keep_tokens": "int", "keep_tokens_separator": "str", "secondary_separator": "str",
    "caption_separator": "str", "enable_wildcard": "bool", "token_warmup_min": "int", "token_warmup_step": _NUMBER,
    "caption_prefix": "str", "caption_suffix": "str", "custom_attributes": "dict", "resize_interpolation": "str",
    "caption_dropout_every_n_epochs": "int", "caption_dropout_rate": _NUMBER, "caption_tag_dropout_rate": _NUMBER,
}  # fmt: skip
_CAPTIONS = {"caption_extension": "str", "class_tokens": "str", "cache_info": "bool"}
_FOLDER = {"image_dir": "str", "is_reg": "bool", "alpha_mask": "bool"}
_METADATA = {"metadata_file": "str", "image_dir": "str", "alpha_mask": "bool"}
_DATASET = {
    "batch_size": "int", "bucket_no_upscale": "bool", "bucket_reso_steps": "int", "enable_bucket": "bool",
    "max_bucket_reso": "int", "min_bucket_reso": "int", "validation_seed": "int", "validation_split": "float",
    "resolution": _SIZE, "network_multiplier": "float", "resize_interpolation": "str",
}  # fmt: skip
_GENERAL = {**_DATASET, **_SUBSET, **_CAPTIONS}
_RENAMED = {"train_batch_size": "batch_size", "dataset_repeats": "num_repeats"}
_COMMAND_LINE = {
    **_GENERAL, "debug_dataset": "bool", "max_token_length": "int", "prior_loss_weight": _NUMBER,
    **{name: _GENERAL[meant] for name, meant in _RENAMED.items()},
}  # fmt: skip
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,), "int": (int,), "float": (float,), "str": (str,), "dict": (dict,), _NUMBER: (float, int),
}  # fmt: skip
_MIXED = (
    "DreamBooth subset and fine tuning subset cannot be mixed in the same dataset. "
    "Please split them into separate datasets. "
    "/ DreamBoothのサブセットとfine tuninのサブセットを同一のデータセットに混在させることはできません。"
    "別々のデータセットに分割してください。"
)


class MultipleInvalid(ValueError):
    """The description breaks the schema; shown under voluptuous' name, with the place of the first problem."""

    __module__ = "voluptuous.error"


@dataclass(frozen=True)
class SubsetOptions:
    """What decides how one folder of pictures is read."""

    image_dir: str
    num_repeats: int
    caption_extension: str
    class_tokens: str | None
    is_reg: bool
    values: Mapping[str, Any]


@dataclass(frozen=True)
class DatasetOptions:
    """What decides how one dataset is read; `resolution` is (width, height) in pixels or None."""

    resolution: tuple[int, int] | None
    batch_size: int
    enable_bucket: bool
    min_bucket_reso: int
    max_bucket_reso: int
    bucket_reso_steps: int
    bucket_no_upscale: bool
    values: Mapping[str, Any]
    subsets: tuple[SubsetOptions, ...]


def load_description(file: str | Path, console: Console) -> dict[str, Any]:
    """Read a dataset description. Raises `ValueError` for a missing file or another extension than .toml and .json."""
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"file not found / ファイルが見つかりません: {path}")
    name = path.name.lower()
    if name.endswith(".json"):
        kind, read = "JSON", _read_json
    elif name.endswith(".toml"):
        kind, read = "TOML", _read_toml
    else:
        raise ValueError(f"not supported config file format / 対応していない設定ファイルの形式です: {path}")
    try:
        return read(path)
    except Exception:
        console.error(
            f"Error on parsing {kind} config file. Please check the format. / "
            f"{kind} 形式の設定ファイルの読み込みに失敗しました。"
            f"文法が正しいか確認してください。: {path}",
            "config_util.py:681",
        )
        raise


def _read_json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def _read_toml(path: Path) -> dict[str, Any]:
    return toml.loads(path.read_text(encoding="utf-8"))


def resolve(description: Mapping[str, Any], args: argparse.Namespace, console: Console) -> tuple[DatasetOptions, ...]:
    """Check the description and the arguments, then settle every option.

    Search order of an option: subset, dataset, general, arguments, default. Raises `MultipleInvalid`.
    """
    try:
        check_description(description)
    except MultipleInvalid:
        console.error("Invalid user config / ユーザ設定の形式が正しくないようです", "config_util.py:375")
        raise
    try:
        given = {name: value for name, value in vars(args).items() if value is not None}
        _check(given, _COMMAND_LINE, "data", (), extra=True, kind="object")
    except MultipleInvalid:
        console.error(
            "Invalid cmdline parsed arguments. This should be a bug. / "
            "コマンドラインのパース結果が正しくないようです。プログラムのバグの可能性が高いです。",
            "config_util.py:386",
        )
        raise
    arguments = {_RENAMED.get(name, name): value for name, value in vars(args).items()}
    general = description.get("general", {})
    return tuple(_settle(dataset, general, arguments) for dataset in description.get("datasets", []))


def check_description(description: Mapping[str, Any]) -> None:
    """Raise `MultipleInvalid` for the first key or type the schema does not know."""
    for key, value in description.items():
        place = f"data['{key}']"
        if key == "general":
            _expect(isinstance(value, dict), "expected a dictionary", place)
            _check(value, _GENERAL, place, ())
        elif key == "datasets":
            _expect(isinstance(value, list), "expected a list", place)
            for index, dataset in enumerate(value):
                _expect(isinstance(dataset, dict), "expected a dictionary", f"{place}[{index}]")
                _check_dataset(dataset, f"{place}[{index}]")
        else:
            raise MultipleInvalid(f"extra keys not allowed @ {place}")


def _check_dataset(dataset: Mapping[str, Any], place: str) -> None:
    subsets = dataset.get("subsets", [])
    kinds = {"metadata_file" in subset for subset in subsets}
    if len(kinds) == 2:
        raise MultipleInvalid(f"{_MIXED} @ {place}")
    fine_tuning = kinds == {True}
    allowed = {**_DATASET, **_SUBSET} if fine_tuning else _GENERAL
    _check({key: value for key, value in dataset.items() if key != "subsets"}, allowed, place, ())
    _expect(isinstance(subsets, list), "expected a list", f"{place}['subsets']")
    subset_keys = {**_SUBSET, **_METADATA} if fine_tuning else {**_SUBSET, **_CAPTIONS, **_FOLDER}
    for index, subset in enumerate(subsets):
        _check(
            subset, subset_keys, f"{place}['subsets'][{index}]", ("metadata_file",) if fine_tuning else ("image_dir",)
        )


def _expect(holds: bool, message: str, place: str) -> None:
    if not holds:
        raise MultipleInvalid(f"{message} @ {place}")


def _check(
    given: Mapping[str, Any],
    allowed: Mapping[str, str],
    place: str,
    required: Sequence[str],
    *,
    extra: bool = False,
    kind: str = "dictionary",
) -> None:
    for key, value in given.items():
        here = f"{place}['{key}']"
        if key not in allowed:
            _expect(extra, "extra keys not allowed", here)
            continue
        problem = _problem(value, allowed[key])
        _expect(problem is None, f"{problem} for {kind} value", here)
    for key in required:
        _expect(key in given, "required key not provided", f"{place}['{key}']")


def _problem(value: object, wanted: str) -> str | None:
    if wanted == _SIZE:
        whole = [value] if isinstance(value, int) else value
        fits = isinstance(whole, list | tuple) and len(whole) in {1, 2} and all(isinstance(side, int) for side in whole)
        return None if fits and not (isinstance(value, list | tuple) and len(value) == 1) else "expected int"
    if wanted == _PAIR:
        pair = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(side, float) for side in value)
        return None if pair else "None"
    types = _TYPES[wanted]
    return None if isinstance(value, types) else f"expected {types[0].__name__}"


def _settle(dataset: Mapping[str, Any], general: Mapping[str, Any], arguments: Mapping[str, Any]) -> DatasetOptions:
    levels = (dataset, general, arguments)
    found: dict[str, Any] = {name: _search(name, levels) for name in {*_DATASET, "prior_loss_weight", "debug_dataset"}}
    size = found["resolution"]
    resolution = (size, size) if isinstance(size, int) else None if size is None else (int(size[0]), int(size[1]))
    found["resolution"] = resolution
    return DatasetOptions(
        resolution=resolution,
        batch_size=_or(found["batch_size"], 1),
        enable_bucket=_or(found["enable_bucket"], False),
        min_bucket_reso=_or(found["min_bucket_reso"], 256),
        max_bucket_reso=_or(found["max_bucket_reso"], 1024),
        bucket_reso_steps=_or(found["bucket_reso_steps"], 64),
        bucket_no_upscale=_or(found["bucket_no_upscale"], False),
        values=found,
        subsets=tuple(_settle_subset(subset, levels) for subset in dataset.get("subsets", [])),
    )


def _settle_subset(subset: Mapping[str, Any], levels: tuple[Mapping[str, Any], ...]) -> SubsetOptions:
    every = (subset, *levels)
    found = {name: _search(name, every) for name in {*_SUBSET, *_CAPTIONS, *_FOLDER}}
    # These three are looked for in the subset only, whatever the other levels hold.
    found["image_dir"], found["is_reg"] = subset.get("image_dir"), subset.get("is_reg", False)
    return SubsetOptions(
        image_dir=str(found["image_dir"]),
        num_repeats=_or(found["num_repeats"], 1),
        caption_extension=_dotted(_or(found["caption_extension"], ".caption")),
        class_tokens=found["class_tokens"],
        is_reg=bool(found["is_reg"]),
        values=found,
    )


def _search(name: str, levels: Sequence[Mapping[str, Any]]) -> Any:
    return next((level[name] for level in levels if level.get(name) is not None), None)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _dotted(extension: str) -> str:
    return extension if extension.startswith(".") else "." + extension
