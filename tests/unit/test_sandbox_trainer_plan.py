"""Length of a simulated run, buckets, the place a resume starts at, losses, and the bytes of a LoRA file."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sandbox.buckets import BucketRules, fill, sizes_to_choose, training_size
from orchestrator.sandbox.checkpoints import (
    load_optimizer,
    load_random_state,
    safetensors_bytes,
    save_archive,
    save_lora,
)
from orchestrator.sandbox.console_output import Console
from orchestrator.sandbox.training_plan import Length, Losses, start_at

BUCKETS = BucketRules((512, 512), enabled=True)


def test_without_buckets_everything_gets_the_resolution() -> None:
    filled = fill([((640, 480), 2), ((512, 512), 1)], BucketRules((512, 512)))
    assert filled.counts == {(512, 512): 3}
    assert filled.batches(2) == 2


def test_each_bucket_is_rounded_up_on_its_own() -> None:
    filled = fill([((512, 512), 3), ((512, 768), 3), ((768, 512), 1)], BUCKETS)
    assert filled.counts == {(384, 640): 3, (512, 512): 3, (640, 384): 1}
    assert filled.batches(2) == 5, "seven pictures would be four batches without buckets"


def test_bucket_sizes_are_those_of_sd_scripts() -> None:
    # Computed with the rule of sd-scripts' model_util.make_bucket_resolutions.
    upright = [(256, 832), (256, 896), (256, 960), (256, 1024), (320, 704), (320, 768), (384, 640), (448, 576)]
    lying = sorted((height, width) for width, height in upright)
    assert sizes_to_choose(BUCKETS) == [*upright, (512, 512), *lying]


def test_small_pictures_are_not_enlarged_when_that_is_switched_off() -> None:
    rules = BucketRules((512, 512), enabled=True, no_upscale=True)
    assert training_size((300, 200), rules) == (256, 192)
    assert training_size((1024, 1024), rules) == (512, 512)


def test_a_file_that_is_no_picture_ends_in_a_division_by_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        training_size((0, 0), BUCKETS)


@given(st.integers(64, 2000), st.integers(64, 2000))
def test_a_bucket_never_exceeds_the_area(width: int, height: int) -> None:
    chosen = training_size((width, height), BUCKETS)
    assert chosen in sizes_to_choose(BUCKETS)
    assert chosen[0] * chosen[1] <= 512 * 512


def arguments(**given: object) -> argparse.Namespace:
    """The arguments that decide where a run starts."""
    defaults = {
        "initial_epoch": None,
        "initial_step": None,
        "skip_until_initial_step": False,
        "resume": "state",
        "gradient_accumulation_steps": 1,
    }
    return argparse.Namespace(**{**defaults, **given})


SIX_EPOCHS = Length(batches=4, steps_per_epoch=4, steps=24, epochs=6)


def test_a_resume_continues_after_the_state_s_epoch() -> None:
    assert start_at(arguments(), 16, SIX_EPOCHS, Console()) == (4, 0)


def test_a_second_resume_goes_wrong_because_steps_are_counted_anew(capsys: pytest.CaptureFixture[str]) -> None:
    # The state of epoch 5 written by a run resumed after epoch 4 says step 4: training starts at epoch 2 again.
    assert start_at(arguments(), 4, SIX_EPOCHS, Console()) == (1, 0)
    assert start_at(arguments(initial_epoch=6), 4, SIX_EPOCHS, Console()) == (5, 0)
    assert "steps from the state is" in capsys.readouterr().err


def test_a_finished_state_cannot_be_resumed() -> None:
    with pytest.raises(AssertionError, match=r"should be greater than initial step .*24 vs 24"):
        start_at(arguments(), 24, SIX_EPOCHS, Console())


def test_the_middle_of_an_epoch_is_reached_only_when_asked_for() -> None:
    assert start_at(arguments(), 6, SIX_EPOCHS, Console()) == (1, 0)
    assert start_at(arguments(skip_until_initial_step=True), 6, SIX_EPOCHS, Console()) == (1, 2)


def test_losses_are_a_mean_over_the_last_epoch_and_nan_never_leaves() -> None:
    losses = Losses(seed=1, expected=40)
    means = [losses.add(epoch, batch) for epoch in range(10) for batch in range(4)]
    assert all(0.02 < mean < 0.5 for mean in means)
    broken = Losses(seed=1, expected=40, blows_up=True)
    means = [broken.add(epoch, batch) for epoch in range(10) for batch in range(4)]
    assert not math.isnan(means[0])
    assert all(math.isnan(mean) for mean in means[1:])


def test_losses_go_on_from_a_saved_state() -> None:
    one = Losses(seed=1, expected=8)
    for batch in range(4):
        one.add(0, batch)
    other = Losses(seed=99, expected=8)
    other.restore(json.loads(json.dumps(one.random_state)))
    assert other._random.random() == one._random.random()


def tensors() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Three small tensors, one of them a single number."""
    values = np.linspace(-3.0, 3.0, 12, dtype=np.float32).reshape(3, 4)
    return {"b.weight": values, "a.weight": values.T.copy(), "a.alpha": np.asarray(2.0, dtype=np.float32)}


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", np.float16), ("float", np.float32), (None, np.float32)])
def test_a_lora_file_is_readable_by_safetensors(tmp_path: Path, precision: str | None, dtype: type) -> None:
    from safetensors.numpy import load_file

    file = tmp_path / "a.safetensors"
    save_lora(file, tensors(), {"ss_epoch": "3", "modelspec.title": "初音"}, precision)
    loaded = load_file(file)
    assert set(loaded) == set(tensors())
    for name, value in tensors().items():
        assert loaded[name].dtype == dtype
        np.testing.assert_array_equal(loaded[name], value.astype(dtype))


def test_bfloat16_keeps_the_upper_half_and_nan() -> None:
    values = {"a": np.array([1.0, -2.5, np.nan, 3.0e38], dtype=np.float32)}
    data = safetensors_bytes(values, {}, "BF16")[-8:]
    back = (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    assert np.isnan(back[2])
    np.testing.assert_allclose(back[[0, 1, 3]], values["a"][[0, 1, 3]], rtol=2**-8)


def test_the_hash_in_the_file_is_that_of_everything_behind_the_header(tmp_path: Path) -> None:
    from safetensors import safe_open

    file = tmp_path / "a.safetensors"
    save_lora(file, tensors(), {"ss_epoch": "3"}, "fp16")
    content = file.read_bytes()
    behind = content[8 + int.from_bytes(content[:8], "little") :]
    with safe_open(file, framework="np") as opened:
        metadata = opened.metadata()
    assert metadata == {
        "ss_epoch": "3",
        "sshs_model_hash": hashlib.sha256(behind).hexdigest(),
        "sshs_legacy_hash": "e3b0c442",
    }


def test_half_an_archive_is_a_runtime_error_and_half_a_random_state_is_none(tmp_path: Path) -> None:
    save_archive(tmp_path / "optimizer.bin", {"step": 4})
    assert load_optimizer(tmp_path, "optimizer.bin") == {"step": 4}
    whole = (tmp_path / "optimizer.bin").read_bytes()
    assert zipfile.is_zipfile(io.BytesIO(whole))
    (tmp_path / "optimizer.bin").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "random_states_0.pkl").write_bytes(whole[:20])
    with pytest.raises(RuntimeError, match="PytorchStreamReader failed reading zip archive"):
        load_optimizer(tmp_path, "optimizer.bin")
    assert load_random_state(tmp_path) is None
