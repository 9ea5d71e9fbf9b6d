"""A training is finished when its files say so, one by one; everything else is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.training import outcome
from orchestrator.training.proof import prove
from tests.unit.training_files import BEGAN, attempt, lora, planned, record


def _all(folder: Path, **changed: Any) -> Any:
    plan_ = planned(folder, **changed)
    for epoch in outcome.expected_epochs(plan_):
        lora(plan_, epoch)
    return plan_


def test_everything_as_asked_is_proven_in_sentences(ugly_path: Path) -> None:
    plan_ = _all(ugly_path)
    proof = prove(plan_, record(plan_))
    assert proof.finished and not proof.why and proof.lost == ()
    assert proof.said[0] == "All 3 LoRA files are there, whole and free of NaN."
    assert "8 values of their metadata are as asked." in proof.said
    assert "Trained by sd-scripts 48d368fa." in proof.said


def test_the_expected_epochs_are_those_sd_scripts_saves(tmp_path: Path) -> None:
    """The last epoch is the final file, whether or not it is a multiple; never a numbered one (observed)."""
    assert outcome.expected_epochs(planned(tmp_path, epochs=12, save_every=5)) == [5, 10, 12]
    assert outcome.expected_epochs(planned(tmp_path, epochs=10, save_every=5)) == [5, 10]
    assert outcome.expected_epochs(planned(tmp_path, epochs=3, save_every=5)) == [3]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("epoch", [2, 4, 6])
def test_a_file_cut_off_is_no_success_wherever_it_stands(tmp_path: Path, epoch: int) -> None:
    plan_ = _all(tmp_path)
    _cut(lora(plan_, epoch))
    proof = prove(plan_, record(plan_))
    assert not proof.finished and "was not written to its end" in proof.why


@pytest.mark.parametrize("epoch", [2, 4, 6])
def test_a_file_of_nan_is_no_success_wherever_it_stands(tmp_path: Path, epoch: int) -> None:
    plan_ = _all(tmp_path)
    lora(plan_, epoch, nan=True)
    proof = prove(plan_, record(plan_))
    assert proof.why.endswith("is full of NaN (1 of 2 tensors)")


@pytest.mark.parametrize("epoch", [2, 4])
def test_an_epoch_that_is_missing_is_no_success(tmp_path: Path, epoch: int) -> None:
    plan_ = _all(tmp_path)
    (plan_.output_folder / f"m-{epoch:06d}.safetensors").unlink()
    proof = prove(plan_, record(plan_))
    assert proof.why == f"the LoRA file of epoch {epoch} is missing" and proof.only_lost and proof.lost == (epoch,)
    lora(plan_, 6, ss_seed=7)
    assert not prove(plan_, record(plan_)).only_lost


def test_without_the_final_file_nothing_else_is_read(tmp_path: Path) -> None:
    plan_ = _all(tmp_path)
    lora(plan_, 2, nan=True)
    plan_.final_file.unlink()
    assert prove(plan_, record(plan_)).why == "there is no final LoRA file"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"ss_network_dim": 8}, "trained with network_dim 8, not 4"),
    ({"ss_network_alpha": 4.0}, "trained with network_alpha 4.0, not 2.0"),
    ({"ss_network_module": "lycoris.kohya"}, "trained with network_module lycoris.kohya, not networks.lora"),
    ({"ss_unet_lr": "None"}, "trained with unet_lr None, not 0.0001"),
    ({"ss_seed": 43}, "trained with seed 43, not 42"),
    ({"ss_output_name": "other"}, "trained with output_name other, not m"),
    ({"ss_epoch": 5}, "is of epoch 5, not 6"),
    ({"ss_training_started_at": BEGAN - 3600}, "is older than this training"),
    ({"ss_dataset_dirs": '{"2_woman": {"n_repeats": 2, "img_count": 2}}'}, "saw 2 pictures × 2 of 2_woman, not 3"),
    ({"ss_dataset_dirs": '{"1_man": {"n_repeats": 1, "img_count": 2}}'}, "saw 0 pictures × 0 of 2_woman, not 3"),
    ({"ss_datasets": '[{"resolution": [128, 128]}]'}, "was trained at resolution [128, 128], not [64, 64]"),
]


@pytest.mark.parametrize(("changed", "why"), WRONG, ids=[why for _, why in WRONG])
def test_metadata_that_differ_from_what_was_asked_are_named(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    plan_ = _all(tmp_path)
    lora(plan_, 6, **changed)
    proof = prove(plan_, record(plan_))
    assert len(proof.problems) == 1 and why in proof.why and proof.why.startswith("the final LoRA file")


SAME: list[dict[str, Any]] = [
    {"ss_network_alpha": "2"}, {"ss_unet_lr": "0.0001"}, {"ss_unet_lr": "1e-4"}, {"ss_network_dim": "4.0"},
    {"ss_seed": ""}, {"ss_dataset_dirs": ""}, {"ss_dataset_dirs": "{"}, {"ss_datasets": "[3]"}, {"ss_datasets": "null"},
    {"ss_datasets": '[{"resolution": "512"}]'}, {"ss_epoch": ""}, {"ss_training_started_at": "soon"},
    {"ss_dataset_dirs": "[" * 9000},
]  # fmt: skip


@pytest.mark.parametrize("changed", SAME, ids=str)
def test_other_ways_to_write_the_same_and_silence_are_no_difference(tmp_path: Path, changed: dict[str, Any]) -> None:
    plan_ = _all(tmp_path)
    lora(plan_, 6, **changed)
    assert prove(plan_, record(plan_)).finished


def test_pictures_kept_for_validation_are_not_missed(tmp_path: Path) -> None:
    plan_ = _all(tmp_path, values={"validation_split": 0.3})
    lora(plan_, 6, ss_dataset_dirs='{"2_woman": {"n_repeats": 2, "img_count": 2}}')
    assert prove(plan_, record(plan_)).finished


def test_one_difference_of_many_files_is_one_sentence(tmp_path: Path) -> None:
    plan_ = _all(tmp_path)
    for epoch in (2, 4, 6):
        lora(plan_, epoch, ss_seed=7)
    assert prove(plan_, record(plan_)).problems == (
        "m-000002.safetensors and 2 more: each was trained with seed 7, not 42",
    )


def test_what_a_retry_changed_is_what_was_asked(tmp_path: Path) -> None:
    plan_ = _all(tmp_path, values={"gradient_accumulation_steps": 1})
    lora(plan_, 6, ss_gradient_accumulation_steps=2)
    assert "gradient_accumulation_steps 2, not 1" in prove(plan_, record(plan_)).why
    retried = record(plan_, attempt(1), attempt(2, changes={"gradient_accumulation_steps": 2}))
    for epoch in (2, 4):
        lora(plan_, epoch, ss_gradient_accumulation_steps=2)
    assert prove(plan_, retried).finished


def test_files_of_before_the_clock_was_put_back_are_not_old(tmp_path: Path) -> None:
    """The first start noted a clock that was ahead; what was trained after it was corrected is new all the same."""
    plan_ = _all(tmp_path)
    ahead = attempt(1, started_at=BEGAN + 9 * 3600)
    assert not prove(plan_, record(plan_, ahead)).finished
    assert prove(plan_, record(plan_, ahead, attempt(2, started_at=BEGAN))).finished


def test_what_is_no_use_is_cleared_away_and_the_rest_is_kept(tmp_path: Path) -> None:
    plan_ = planned(tmp_path, epochs=12)
    for epoch in (2, 4):
        lora(plan_, epoch)
    _cut(lora(plan_, 6))
    for epoch in (8, 10):
        lora(plan_, epoch, nan=True)
    lora(plan_, 12)
    removed = outcome.clear_unusable(plan_)
    assert sorted(removed) == ["m-000006.safetensors", "m-000008.safetensors", "m-000010.safetensors", "m.safetensors"]
    assert [path.name for path in outcome.lora_files(plan_)[0]] == ["m-000002.safetensors", "m-000004.safetensors"]


def test_a_file_is_hashed_again_only_when_it_was_written_since(tmp_path: Path) -> None:
    plan_ = _all(tmp_path)
    files = outcome.lora_files(plan_)[0]
    known = {f.file: f.model_copy(update={"sha256": "kept"}) for f in outcome.saved_files(plan_, files)}
    later = max(path.stat().st_mtime for path in files) + 1
    assert {f.sha256 for f in outcome.saved_files(plan_, files, known, later)} == {"kept"}
    assert "kept" not in {f.sha256 for f in outcome.saved_files(plan_, files, known, 0.0)}
    files[0].write_bytes(files[0].read_bytes() + b"x")
    assert outcome.saved_files(plan_, files[:1], known, later + 10)[0].sha256 != "kept"
