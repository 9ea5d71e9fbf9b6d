"""The configuration sd-scripts reads without checking, and the dataset file it checks strictly."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import DatasetError, InputError
from orchestrator.kohya import config_file, dataset_config
from orchestrator.kohya.arguments import Argument
from orchestrator.kohya.dataset_config import Subset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _argument(name: str, kind: str = "str", nargs: str = "", choices: tuple[Any, ...] | None = None) -> Argument:
    return Argument(name, kind, nargs, None, choices, kind == "bool")


ARGUMENTS = {
    a.name: a
    for a in (
        _argument("network_dim", "int"),
        _argument("learning_rate", "float"),
        _argument("cache_latents", "bool"),
        _argument("resolution"),
        _argument("network_args", "str", "*"),
        _argument("text_encoder_lr", "float", "*"),
        _argument("lr_warmup_steps", "int_or_float"),
        _argument("mixed_precision", "str", "", ("no", "fp16", "bf16")),
        _argument("dataset_config", "Path"),
        _argument("odd", "a_converter_of_its_own"),
    )
}

GOOD: list[tuple[str, Any]] = [
    ("network_dim", 32), ("learning_rate", 1e-4), ("learning_rate", 1), ("cache_latents", False), ("resolution",
    "512,512"),
    ("network_args", ["conv_dim=4"]), ("text_encoder_lr", [5e-5]), ("lr_warmup_steps", 100), ("lr_warmup_steps", 0.1),
    ("mixed_precision", "bf16"), ("dataset_config", "x.toml"), ("network_dim", None), ("odd", 3),
]  # fmt: skip
BAD: list[tuple[str, Any, str]] = [
    ("network_dimm", 4, "did you mean network_dim"),
    ("learnign_rate", 1e-4, "did you mean learning_rate"),
    ("Network-Dim", 4, "did you mean network_dim"),
    ("zzzzzz", 4, "no such argument"),
    ("network_dim", "abc", "whole number"),
    ("network_dim", True, "whole number"),
    ("network_dim", 4.0, "whole number"),
    ("learning_rate", "1e-4", "must be a number"),
    ("learning_rate", "1e-4", "write 1e-4 without quotes"),
    ("network_dim", " 32", "write 32 without quotes"),
    ("cache_latents", 1, "true or false"),
    ("resolution", 512, "text in quotes"),
    ("resolution", [512, 512], "text in quotes"),
    ("network_args", "conv_dim=4", "must be a list"),
    ("text_encoder_lr", [1, 2.5], "of one kind"),
    ("lr_warmup_steps", 100.0, "between 0 and 1"),
    ("mixed_precision", "fp32", "did you mean fp16"),
    ("mixed_precision", "xyz", "is none of no, fp16, bf16"),
    ("resolution", [512, 768], 'write "512,768"'),
    ("lr_warmup_steps", 100.0, "write 100 for so many steps"),
    ("text_encoder_lr", 5e-5, "such as [1e-4]"),
]


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_what_sd_scripts_understands_passes(key: str, value: Any) -> None:
    assert config_file.check({key: value}, ARGUMENTS) == []


@pytest.mark.parametrize(("key", "value", "words"), BAD)
def test_what_sd_scripts_would_ignore_or_stumble_over_is_named(key: str, value: Any, words: str) -> None:
    (problem,) = config_file.check({key: value}, ARGUMENTS)
    assert problem.place == key
    assert problem.fix
    assert words in str(problem)
    assert str(problem).startswith(f"{key}: ")


def test_all_problems_are_listed_at_once() -> None:
    assert len(config_file.check({"network_dimm": 1, "resolution": 512, "network_dim": 4}, ARGUMENTS)) == 2


def test_values_that_exclude_each_other_are_found_with_the_rest() -> None:
    arguments = ARGUMENTS | {name: _argument(name, "bool") for name in ("full_fp16", "cache_latents", "color_aug")}
    values = {"full_fp16": True, "mixed_precision": "bf16", "cache_latents": True, "color_aug": True, "network_dimm": 1}
    assert {p.place for p in config_file.check(values, arguments)} == {"full_fp16", "cache_latents", "network_dimm"}
    # What is of the wrong kind is said once.
    assert len(config_file.check({"full_fp16": "yes", "mixed_precision": "bf16"}, arguments)) == 1


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT.filter(lambda t: "\x7f" not in t),
)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.one_of(SCALARS, st.lists(st.integers(), max_size=4))
    )
)
def test_what_is_written_is_what_sd_scripts_will_read(values: dict[str, Any]) -> None:
    """Or it is refused before anything is written. A reader of today's TOML must agree, too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        try:
            config_file.write(path, values)
        except InputError:
            assert not path.exists()
            return
        assert toml.loads(path.read_text(encoding="utf-8")) == values == tomllib.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "C:\\Users\\me\\new",
        'it\'s "q"',
        "a\\",
        "初音ミク 😀",
        "# no comment",
        "a]b,[c",
        "x=1 # y",
        "tab\tnew\nline",
        "",
        " ",
    ],
)
def test_ugly_texts_survive(ugly_path: Path, text: str) -> None:
    path = config_file.write(ugly_path / "config.toml", {"output_name": text, "network_args": [text, "k=v"]})
    assert toml.loads(path.read_text(encoding="utf-8")) == {"output_name": text, "network_args": [text, "k=v"]}


def test_nothing_is_left_out_but_none(tmp_path: Path) -> None:
    path = config_file.write(tmp_path / "c.toml", {"b": 0, "a": 0.0, "c": None, "d": False, "e": "", "f": math.inf})
    assert toml.loads(path.read_text(encoding="utf-8")) == {"a": 0.0, "b": 0, "d": False, "e": "", "f": math.inf}
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_what_the_old_toml_library_cannot_read_is_refused_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        config_file.write(tmp_path / "c.toml", {"x": [1, "a"]})
    assert not (tmp_path / "c.toml").exists()


def test_two_folders_are_two_tables_the_old_library_can_read(ugly_path: Path) -> None:
    subsets = [Subset(ugly_path / "10_close-up", 10, "ai_model_v4"), Subset(ugly_path / "1_full body", 1)]
    path = dataset_config.write(ugly_path / "dataset.toml", subsets, resolution=(512, 768), batch_size=2)
    read = toml.loads(path.read_text(encoding="utf-8"))
    assert read.keys() == {"general", "datasets"}
    (dataset,) = read["datasets"]
    assert (dataset["resolution"], dataset["batch_size"]) == ([512, 768], 2)
    assert [s["num_repeats"] for s in dataset["subsets"]] == [10, 1]
    assert dataset["subsets"][0]["image_dir"] == str(ugly_path / "10_close-up")
    assert read["general"]["caption_extension"] == ".txt"


STRICT = {
    "image_dir": str,
    "num_repeats": int,
    "class_tokens": str,
    "resolution": list,
    "batch_size": int,
    "enable_bucket": bool,
    "bucket_reso_steps": int,
    "min_bucket_reso": int,
    "max_bucket_reso": int,
    "bucket_no_upscale": bool,
    "subsets": list,
    "caption_extension": str,
    "shuffle_caption": bool,
    "keep_tokens": int,
    "flip_aug": bool,
}


def test_every_value_has_the_very_type_sd_scripts_demands(tmp_path: Path) -> None:
    values = dataset_config.values([Subset(tmp_path, 3, "woman")], resolution=512, keep_tokens=1, shuffle_caption=True)
    for table in (values["general"], values["datasets"][0], values["datasets"][0]["subsets"][0]):
        for key, value in table.items():
            assert type(value) is STRICT[key], key


@pytest.mark.parametrize("repeats", [0, -1, 1.0, True, "3"])
def test_repeats_that_sd_scripts_would_refuse_are_refused(tmp_path: Path, repeats: Any) -> None:
    with pytest.raises(DatasetError):
        dataset_config.values([Subset(tmp_path, repeats)])


def test_no_folder_at_all_is_refused() -> None:
    with pytest.raises(DatasetError):
        dataset_config.values([])
