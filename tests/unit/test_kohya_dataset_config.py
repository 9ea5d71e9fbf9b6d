"""The --dataset_config held against what the real sd-scripts accepts, and configurations read back from their files."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError, StorageError
from orchestrator.kohya import dataset_config, toml_file
from orchestrator.kohya.dataset_config import Subset

Values = dict[str, Any]


def _config(
    *,
    top: Values | None = None,
    general: Values | None = None,
    dataset: Values | None = None,
    subset: Values | None = None,
) -> Values:
    """The configuration of the observed cases, with something added."""
    inner = {"image_dir": "/pictures", "num_repeats": 10, **(subset or {})}
    outer = {"resolution": 512, "batch_size": 2, "subsets": [inner], **(dataset or {})}
    return {"general": {"caption_extension": ".txt", **(general or {})}, "datasets": [outer], **(top or {})}


#: As observed on sd-scripts v0.10.1, one row a case: whether it passes, and what is given.
OBSERVED: list[tuple[str, bool, Values]] = [
    ("base", True, _config()),
    ("unknown in subset", False, _config(subset={"num_repeat": 1})),
    ("unknown in general", False, _config(general={"foo": 1})),
    ("unknown in dataset", False, _config(dataset={"train_batch_size": 1})),
    ("unknown top-level key", False, _config(top={"title": "x"})),
    ("unknown top-level table", False, _config(top={"extra": {"a": 1}})),
    ("num_repeats string", False, _config(subset={"num_repeats": "10"})),
    ("num_repeats float", False, _config(subset={"num_repeats": 10.0})),
    ("resolution string", False, _config(dataset={"resolution": "512,512"})),
    ("resolution pair", True, _config(dataset={"resolution": [512, 768]})),
    ("resolution list of one", False, _config(dataset={"resolution": [512]})),
    ("resolution float", False, _config(dataset={"resolution": 512.0})),
    ("flip_aug text", False, _config(subset={"flip_aug": "true"})),
    ("flip_aug 1", False, _config(subset={"flip_aug": 1})),
    ("num_repeats true", True, _config(subset={"num_repeats": True})),
    ("validation_split=0", False, _config(dataset={"validation_split": 0})),
    ("network_multiplier=1", False, _config(dataset={"network_multiplier": 1})),
    ("caption_dropout_rate=0 int", True, _config(subset={"caption_dropout_rate": 0})),
    ("num_repeats in dataset", True, _config(dataset={"num_repeats": 4})),
    ("keep_tokens in general", True, _config(general={"keep_tokens": 2})),
    ("image_dir in general", False, _config(general={"image_dir": "/x"})),
    ("resolution in subset", False, _config(subset={"resolution": 512})),
    ("class_tokens, is_reg", True, _config(subset={"class_tokens": "a b", "is_reg": True})),
    ("custom_attributes", True, _config(subset={"custom_attributes": {"a": 1}})),
    ("face_crop_aug_range list", True, _config(subset={"face_crop_aug_range": [1.0, 2.0]})),
    ("face_crop_aug_range text", False, _config(subset={"face_crop_aug_range": "1,2"})),
    ("no image_dir", False, {"datasets": [{"resolution": 512, "subsets": [{"num_repeats": 1}]}]}),
    # The real one lets these pass, finds nothing to train on, and ends with exit code 0.
    ("no subsets", False, {"datasets": [{"resolution": 512, "subsets": []}]}),
    ("no datasets", False, {"general": {}}),
    ("empty", False, {}),
]


@pytest.mark.parametrize(("passes", "values"), [row[1:] for row in OBSERVED], ids=[row[0] for row in OBSERVED])
def test_the_check_agrees_with_the_real_sd_scripts(passes: bool, values: Values) -> None:
    problems = dataset_config.check(values)
    assert (not problems) is passes, problems
    assert all(problem.place and problem.fix for problem in problems)


def test_all_faults_are_named_at_once_with_the_key_that_was_meant() -> None:
    problems = dataset_config.check(_config(subset={"num_repeat": 1, "flip_aug": 1}, general={"foo": 1}))
    assert {problem.place for problem in problems} == {
        "general.foo", "datasets[0].subsets[0].num_repeat", "datasets[0].subsets[0].flip_aug",
    }  # fmt: skip
    assert "did you mean num_repeats?" in {problem.fix for problem in problems}


def test_what_we_write_passes(ugly_path: Path) -> None:
    subsets = [Subset(ugly_path / "10_a", 10, "x"), Subset(ugly_path / "1_b")]
    for options in ({}, {"flip": True, "shuffle_caption": True, "keep_tokens": 1}, {"buckets": False}):
        assert dataset_config.check(dataset_config.values(subsets, **options)) == []


VALUES: Values = {
    "path": "C:\\Users\\me\\初音 ミク's \"x\"", "rate": 1e-4, "steps": 0, "on": False,
    "list": ["a=1", "b"], "left out": None, "table": {"inner": [1, 2]}, "nan": math.nan,
    "tables": [{"a": 1, "subsets": [{"b": "x"}, {"b": "y"}]}],
}  # fmt: skip


def test_a_file_is_proven_as_it_lies_on_the_disk(ugly_path: Path) -> None:
    path = toml_file.write(ugly_path / "config.toml", VALUES)
    toml_file.verify(path, VALUES)
    assert toml_file.differences(VALUES, toml.loads(path.read_text(encoding="utf-8"))) == []


Edit = Callable[[str], str]
EDITS: list[tuple[Edit, str]] = [
    (lambda t: t.replace("rate = 0.0001", "rate = 0.0002"), "rate"),
    (lambda t: t.replace("steps = 0", "steps = 0.0"), "steps"),  # a share of the run instead of a number of steps
    (lambda t: t.replace("on = false\n", ""), "on"),
    (lambda t: t.replace("on = false", "on = false\nnew = 1"), "new"),
    (lambda t: t.replace('b = "y"', 'b = "z"'), "tables[0].subsets[1].b"),
    (lambda t: t.replace('    "b",\n', ""), "list"),
    (lambda t: t.replace("    2,\n", ""), "table.inner"),
]


@pytest.mark.parametrize(("edit", "key"), EDITS, ids=[key for _, key in EDITS])
def test_every_key_that_differs_is_named(tmp_path: Path, edit: Edit, key: str) -> None:
    path = toml_file.write(tmp_path / "config.toml", VALUES)
    assert toml_file.edited(path) is False
    before = path.read_text(encoding="utf-8")
    path.write_text(edit(before), encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(InputError) as caught:
        toml_file.verify(path, VALUES)
    assert caught.value.what.endswith(f": {key}.")
    assert toml_file.edited(path) is True


def test_a_file_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    path = toml_file.write(tmp_path / "config.toml", {"a": 1})
    path.write_text("a = = 1", encoding="utf-8")
    with pytest.raises(InputError, match="could not read"):
        toml_file.verify(path, {"a": 1})
    path.write_bytes(b"a = '\x83\x7e'")
    with pytest.raises(InputError):
        toml_file.verify(path, {"a": 1})
    path.unlink()
    with pytest.raises(StorageError):
        toml_file.verify(path, {"a": 1})
    with pytest.raises(StorageError):
        toml_file.edited(path)


def test_a_mark_of_notepad_is_an_edit_and_line_ends_are_none(tmp_path: Path) -> None:
    path = toml_file.write(tmp_path / "config.toml", VALUES)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert toml_file.edited(path) is False
    path.write_bytes(b"\xef\xbb\xbf" + content)  # sd-scripts takes it for part of a key
    assert toml_file.edited(path) is True
    path.write_bytes(content.split(b"\n", 1)[1])
    assert toml_file.edited(path) is None


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(st.characters(codec="utf-8"), max_size=9)))
def test_a_seal_holds_for_whatever_is_written(values: Values) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = toml_file.write(Path(folder) / "c.toml", values)
        except InputError:  # \x7f
            return
        assert toml_file.edited(path) is False


@pytest.mark.parametrize("value", ["\udcff", [1, "a"], [1, 2.5]])
def test_what_no_text_gives_back_is_refused_before_anything_is_written(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InputError):
        toml_file.text({"x": value})
    with pytest.raises(InputError):
        toml_file.write(tmp_path / "c.toml", {"x": value})
    assert not list(tmp_path.iterdir())


def test_a_datasets_own_file_carries_no_seal(tmp_path: Path) -> None:
    path = dataset_config.write(tmp_path / "dataset.toml", [Subset(tmp_path, 2)])
    assert toml_file.edited(path) is None
    assert path.read_text(encoding="utf-8") == toml_file.dumps(dataset_config.values([Subset(tmp_path, 2)]))
