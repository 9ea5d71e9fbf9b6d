"""Which epoch a LoRA file is, and which files of a folder belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from orchestrator.errors import InputError
from orchestrator.lora.catalog import catalog, lora_file
from orchestrator.lora.deploy import deployed_stem
from orchestrator.lora.header import read_header
from orchestrator.lora.nan_check import not_finite, require_finite


def _lora(folder: Path, stem: str, *, value: float = 1.0, **metadata: Any) -> Path:
    path = folder / f"{stem}.safetensors"
    tensors = {"lora_unet_x.lora_down.weight": np.full((4, 4), value, np.float16)}
    save_file(tensors, path, {key: str(text) for key, text in metadata.items()} or None)
    return path


def _epoch(folder: Path, stem: str, epoch: int, session: int = 7, at: float = 0.0, name: str = "m") -> Path:
    return _lora(
        folder, stem, value=epoch, ss_epoch=epoch, ss_session_id=session, ss_output_name=name,
        ss_training_finished_at=at or 1000.0 + epoch, ss_network_dim=32, ss_network_alpha=16.0,
    )  # fmt: skip


def test_the_file_without_a_number_is_the_last_epoch(ugly_path: Path) -> None:
    for epoch in (10, 20, 30):
        _epoch(ugly_path, f"m-{epoch:06d}", epoch)
    _epoch(ugly_path, "m", 40)
    found = [(f.stem, f.epoch) for f in catalog(ugly_path)]
    assert found == [
        ("m-000010", 10),
        ("m-000020", 20),
        ("m-000030", 30),
        ("m", 40),
    ]


def test_what_an_earlier_longer_training_left_is_not_ours(tmp_path: Path) -> None:
    """Three epochs, then two in the same folder: the old -000002 stays beside the new -000001 and final file."""
    _epoch(tmp_path, "m-000002", 2, session=1, at=1002)
    _epoch(tmp_path, "m-000001", 1, session=2, at=2001)
    _epoch(tmp_path, "m", 2, session=2, at=2002)
    assert [f.stem for f in catalog(tmp_path)] == ["m-000001", "m"]
    assert [f.stem for f in catalog(tmp_path, everything=True) if f.problem] == ["m-000002"]


def test_a_training_that_was_gone_on_with_stays_whole(tmp_path: Path) -> None:
    """Each part has a session id of its own."""
    _epoch(tmp_path, "m-000010", 10, session=1, at=1000)
    _epoch(tmp_path, "m-000020", 20, session=1, at=1100)
    _epoch(tmp_path, "m-000030", 30, session=2, at=5000)
    _epoch(tmp_path, "m", 40, session=2, at=5100)
    assert [f.epoch for f in catalog(tmp_path)] == [10, 20, 30, 40]


def test_files_that_cannot_be_used_are_left_out_and_said(tmp_path: Path) -> None:
    whole = _epoch(tmp_path, "m-000010", 10)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-3])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / ".hidden.safetensors").write_bytes(b"")
    (tmp_path / "folder.safetensors").mkdir()
    assert [f.stem for f in catalog(tmp_path)] == ["m-000010"]
    problems = {f.stem: f.problem for f in catalog(tmp_path, everything=True)}
    assert problems == {"m-000010": "", "cut": "it was cut off", "empty": "it is empty or was cut off at the beginning"}


def test_two_trainings_in_one_folder_are_told_apart_by_name(tmp_path: Path) -> None:
    _epoch(tmp_path, "b-000010", 10, name="b")
    _epoch(tmp_path, "a-000010", 10, name="a")
    assert [f.output_name for f in catalog(tmp_path)] == ["a", "b"]
    assert [f.output_name for f in catalog(tmp_path, output_name="b")] == ["b"]


def test_a_file_that_says_nothing_is_named_by_its_file(tmp_path: Path) -> None:
    _lora(tmp_path, "portrait-000030")
    found = lora_file(tmp_path / "portrait-000030.safetensors")
    assert (found.output_name, found.epoch, found.session_id, found.network_dim) == ("portrait", 30, "", None)
    assert len(found.shown_hash) == 12 and len(found.model_hash) == 64
    assert lora_file(_lora(tmp_path, "last", ss_epoch="None", ss_output_name="None")).epoch == 0


def test_the_header_in_our_words(tmp_path: Path) -> None:
    header = read_header(_epoch(tmp_path, "m-000010", 10))
    assert (header.epoch, header.session_id, header.dim, header.alpha, header.complete) == (10, "7", 32, 16.0, True)
    assert (header.epochs, header.seed, header.base_model) == (None, None, "")
    odd = read_header(_lora(tmp_path, "odd", ss_epoch="nan", ss_seed="1e400", ss_network_dim="x"))
    assert (odd.epoch, odd.seed, odd.dim) == (None, None, None)


def test_nan_is_found(tmp_path: Path) -> None:
    assert not_finite(_lora(tmp_path, "good")) == []
    bad = _lora(tmp_path, "bad", value=float("nan"))
    with pytest.raises(InputError, match="holds NaN"):
        require_finite(bad)


def test_a_missing_folder_or_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        catalog(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no file"):
        lora_file(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("name", ["ai_model_v4", "a:b,c<d>", "初音 ミク", "it's", "a(b:1.2)", "…", "CON", "a[b|c]"])
def test_a_deployed_stem_survives_files_and_prompts(tmp_path: Path, name: str) -> None:
    stem = deployed_stem(lora_file(_epoch(tmp_path, "x", 10, name=name)))
    assert not set(stem) & set(',:<>()[]{}|\\/"*?')
    assert "-000010-" in stem and len(stem.rpartition("-")[2]) == 6
