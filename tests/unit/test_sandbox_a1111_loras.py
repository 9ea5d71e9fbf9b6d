"""How the simulated server finds, names and hashes LoRA files, traps included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from orchestrator.sandbox import learned
from orchestrator.sandbox.a1111.loras import LoraShelf, content_hash, read_metadata
from orchestrator.sandbox.a1111.prompts import LoraTag


def _write(folder: Path, stem: str, output: str | None = None, person: int = 1, mtime: float | None = None) -> Path:
    path = folder / f"{stem}.safetensors"
    tensors = learned.tensors(learned.starter(person, "trigger"), 1, 1.0, 1)
    save_file(tensors, path, {"ss_output_name": output} if output else {})
    digest = content_hash(path)
    save_file(tensors, path, {"sshs_model_hash": digest, **({"ss_output_name": output} if output else {})})
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def _hash(shelf: LoraShelf, name: str) -> str | None:
    found = shelf.load([LoraTag((name, "1"))])
    return found[0][0].file.short_hash if found else None


@pytest.fixture
def shelf_folder(ugly_path: Path) -> Path:
    return ugly_path


def test_a_new_file_is_found_by_stem_without_a_refresh(shelf_folder: Path) -> None:
    shelf = LoraShelf(shelf_folder)
    assert _hash(shelf, "late") is None
    path = _write(shelf_folder, "late")
    assert _hash(shelf, "late") == content_hash(path)[:12]
    assert [entry["name"] for entry in shelf.listing()] == ["late"]


def test_an_alias_means_one_file_until_a_second_one_shares_it(shelf_folder: Path) -> None:
    _write(shelf_folder, "run-000010", "run")
    shelf = LoraShelf(shelf_folder)
    assert _hash(shelf, "run") is not None
    _write(shelf_folder, "run-000020", "run")
    assert _hash(shelf, "run-000020") is not None
    assert _hash(shelf, "run") is None
    _write(shelf_folder, "run", "run")
    assert _hash(shelf, "run") is not None


@pytest.mark.parametrize("name", ["RUN", "run.safetensors", "sub/inside", "missing"])
def test_other_spellings_are_silently_nothing(shelf_folder: Path, name: str) -> None:
    _write(shelf_folder, "run")
    (shelf_folder / "sub").mkdir()
    _write(shelf_folder / "sub", "inside")
    shelf = LoraShelf(shelf_folder)
    assert _hash(shelf, "inside") is not None
    assert _hash(shelf, name) is None


@pytest.mark.parametrize("weight", ["abc", "1,0", ""])
def test_a_weight_that_is_no_number_drops_every_lora(shelf_folder: Path, weight: str) -> None:
    _write(shelf_folder, "a")
    assert LoraShelf(shelf_folder).load([LoraTag(("a", "1")), LoraTag(("a", weight))]) == []


def test_two_tags_of_one_file_both_count(shelf_folder: Path) -> None:
    _write(shelf_folder, "a")
    found = LoraShelf(shelf_folder).load([LoraTag(("a", "0.5")), LoraTag(("a", "0.25"))])
    assert [unet for _, _, unet in found] == [0.5, 0.25]


def test_deleted_files_stay_listed_until_refresh(shelf_folder: Path) -> None:
    path = _write(shelf_folder, "a")
    shelf = LoraShelf(shelf_folder)
    path.unlink()
    assert _hash(shelf, "a") is None
    assert len(shelf.listing()) == 1
    shelf.refresh()
    assert shelf.listing() == []


def test_half_written_files_are_listed_but_do_nothing(shelf_folder: Path) -> None:
    whole = _write(shelf_folder, "whole", "alias").read_bytes()
    (shelf_folder / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    (shelf_folder / "empty.safetensors").write_bytes(b"")
    shelf = LoraShelf(shelf_folder)
    assert {entry["name"]: entry["alias"] for entry in shelf.listing()} == {
        "whole": "alias",
        "half": "alias",
        "empty": "empty",
    }
    assert _hash(shelf, "half") is None
    assert _hash(shelf, "empty") is None


def test_overwriting_in_place_uses_new_weights_under_the_old_hash(shelf_folder: Path) -> None:
    old = content_hash(_write(shelf_folder, "a", person=1, mtime=1_000_000))[:12]
    shelf = LoraShelf(shelf_folder)
    before = shelf.load([LoraTag(("a", "1"))])[0][0]
    new = content_hash(_write(shelf_folder, "a", person=2, mtime=1_000_100))[:12]
    after = shelf.load([LoraTag(("a", "1"))])[0][0]
    assert after.learned != before.learned
    assert (old, old) == (before.file.short_hash, after.file.short_hash)
    shelf.refresh()
    assert _hash(shelf, "a") == old != new
    shelf.load([])
    assert _hash(shelf, "a") == new


def test_metadata_is_opened_and_a_foreign_file_has_a_computed_hash(shelf_folder: Path) -> None:
    tensors = learned.tensors(learned.starter(1, "t"), 1, 1.0, 1)
    path = shelf_folder / "plain.safetensors"
    save_file(tensors, path, {"ss_tag_frequency": '{"10_x": {"x": 3}}', "ss_sd_model_name": "m"})
    assert list(read_metadata(path).items()) == [("ss_sd_model_name", "m"), ("ss_tag_frequency", {"10_x": {"x": 3}})]
    assert _hash(LoraShelf(shelf_folder), "plain") == content_hash(path)[:12]
