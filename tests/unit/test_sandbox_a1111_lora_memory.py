"""LoRA files on the forks: all or none, old weights behind new hashes, and the ways to kill a server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.sandbox import learned
from orchestrator.sandbox.a1111.dialects import CLASSIC, FORGE, REFORGE, Dialect
from orchestrator.sandbox.a1111.failures import ServerError
from orchestrator.sandbox.a1111.lora_memory import ForkShelf
from orchestrator.sandbox.a1111.loras import content_hash
from orchestrator.sandbox.a1111.prompts import LoraTag

FORKS = pytest.mark.parametrize("dialect", [FORGE, REFORGE, CLASSIC], ids=lambda one: one.name)


class Died(Exception):
    """Stands for the end of the process."""


def _die() -> None:
    raise Died


def _write(folder: Path, stem: str, person: int = 1, hashed: bool = True) -> Path:
    path, beside = folder / f"{stem}.safetensors", folder / f"{stem}.tmp"
    tensors = learned.tensors(learned.starter(person, "trigger"), 1, 1.0, person)
    save_file(tensors, beside)
    save_file(tensors, beside, {"sshs_model_hash": content_hash(beside)} if hashed else {})
    beside.replace(path)
    return path


def _tag(name: str, weight: str = "1") -> LoraTag:
    return LoraTag((name, weight))


def _shelf(folder: Path, dialect: Dialect) -> ForkShelf:
    return ForkShelf(folder, dialect, die=_die)


@FORKS
def test_one_missing_lora_drops_all(ugly_path: Path, dialect: Dialect) -> None:
    _write(ugly_path, "good")
    shelf = _shelf(ugly_path, dialect)
    assert len(shelf.load([_tag("good")])) == 1
    assert shelf.load([_tag("good"), _tag("missing")]) == []
    assert shelf.load([_tag("good"), _tag("good", "abc")]) == []


def test_only_forge_counts_a_repeated_lora_once(ugly_path: Path) -> None:
    _write(ugly_path, "a")
    tags = [_tag("a", "0.5"), _tag("a", "0.25")]
    assert [unet for _, _, unet in _shelf(ugly_path, FORGE).load(tags)] == [0.5]
    assert [unet for _, _, unet in _shelf(ugly_path, REFORGE).load(tags)] == [0.5, 0.25]


@FORKS
def test_a_replaced_file_keeps_its_old_weights_behind_its_new_hash(ugly_path: Path, dialect: Dialect) -> None:
    old = content_hash(_write(ugly_path, "a", person=1))[:12]
    shelf = _shelf(ugly_path, dialect)
    before = shelf.load([_tag("a")])[0][0]
    new = content_hash(_write(ugly_path, "a", person=2))[:12]
    after = shelf.load([_tag("a", "0.5")])[0][0]
    assert (after.learned, after.shown_hash) == (before.learned, old)
    shelf.refresh()
    refreshed = shelf.load([_tag("a")])[0][0]
    assert (refreshed.learned, refreshed.shown_hash) == (before.learned, new)
    for number in range(5):
        _write(ugly_path, f"other{number}", person=10 + number)
        shelf.load([_tag(f"other{number}")])
    assert shelf.load([_tag("a")])[0][0].learned != before.learned


@FORKS
def test_a_file_shrinking_while_it_is_held_kills_the_server(ugly_path: Path, dialect: Dialect) -> None:
    path = _write(ugly_path, "a")
    shelf = _shelf(ugly_path, dialect)
    shelf.load([_tag("a")])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(Died):
        shelf.load([_tag("a", "0.5")])


@FORKS
def test_a_file_wholly_written_in_place_is_noticed_once_another_was_used(ugly_path: Path, dialect: Dialect) -> None:
    path = _write(ugly_path, "a", person=1)
    shelf = _shelf(ugly_path, dialect)
    before = shelf.load([_tag("a")])[0][0]
    shutil.copyfile(_write(ugly_path, "b", person=2), path)
    os.utime(path, (1, 1))
    assert shelf.load([_tag("a")])[0][0].learned == before.learned
    shelf.load([])
    assert shelf.load([_tag("a")])[0][0].learned != before.learned


@FORKS
def test_a_deleted_file_still_acts_without_a_hash_until_refresh(ugly_path: Path, dialect: Dialect) -> None:
    path = _write(ugly_path, "a")
    shelf = _shelf(ugly_path, dialect)
    before = shelf.load([_tag("a")])[0][0]
    path.unlink()
    after = shelf.load([_tag("a")])[0][0]
    assert (after.learned, after.shown_hash) == (before.learned, "")
    shelf.refresh()
    assert shelf.load([_tag("a")]) == []


def test_forge_renames_a_broken_file_and_hashes_the_whole_of_one_without_a_hash(ugly_path: Path) -> None:
    import hashlib

    path = _write(ugly_path, "plain", hashed=False)
    whole = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert _shelf(ugly_path, FORGE).load([_tag("plain")])[0][0].shown_hash == whole
    assert _shelf(ugly_path, REFORGE).load([_tag("plain")])[0][0].shown_hash == content_hash(path)[:12] != whole
    for dialect, left in ((REFORGE, True), (FORGE, False)):
        (ugly_path / "half.safetensors").write_bytes(path.read_bytes()[:2000])
        assert _shelf(ugly_path, dialect).load([_tag("half")]) == []
        assert (ugly_path / "half.safetensors").exists() is left
        assert (ugly_path / "half.safetensors.corrupted").exists() is not left


def test_sizes_that_do_not_fit_fail_on_forge_and_are_listed_on_reforge(ugly_path: Path) -> None:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight"
    save_file({name: np.ones((4, 64), np.float32)}, ugly_path / "tiny.safetensors")
    with pytest.raises(ServerError, match="The size of tensor a"):
        _shelf(ugly_path, FORGE).load([_tag("tiny")])
    listed = _shelf(ugly_path, REFORGE).load([_tag("tiny")])[0][0]
    assert listed.shown_hash and not listed.weights.fits
