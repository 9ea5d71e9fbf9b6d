"""Failures: late, by an exit code that may be 0, in words that our table of reasons knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from orchestrator.kohya import console, failure
from tests.contract.kohya_subject import Kohya, names
from tests.contract.subject import Observe

#: case → changes, the end of the last line. None of these gets as far as the base model.
EARLY: dict[str, tuple[dict[str, Any], str]] = {
    "resolution as a number": ({"resolution": 512}, "AttributeError: 'int' object has no attribute 'split'"),
    "resolution as a list": ({"resolution": [512, 512]}, "AttributeError: 'list' object has no attribute 'split'"),
    "batch size as text": ({"train_batch_size": "4"}, "expected int for object value @ data['train_batch_size']"),
    "unknown precision": ({"mixed_precision": "fp32"}, "Unknown mixed_precision mode: fp32"),
    "tensorboard without a folder": ({"log_with": "tensorboard"}, "logging_dir is required"),
    "a base model that is not there": (
        {"pretrained_model_name_or_path": "/no/such/model.safetensors"},
        "is neither a valid local path nor a valid repo id",
    ),
}
#: These are found only after the base model was loaded, most after the latents.
LATE: dict[str, tuple[dict[str, Any], str]] = {
    "rank as text": ({"network_dim": "abc"}, "TypeError"),
    "learning rate as text": ({"learning_rate": "1e-4"}, "TypeError: '<=' not supported"),
    "network_args as text": ({"network_args": "conv_dim=4"}, "ValueError: not enough values to unpack"),
    "no network module": ({"network_module": None}, "'NoneType' object has no attribute 'startswith'"),
    "unknown optimizer": ({"optimizer_type": "AdamZ"}, "module 'torch.optim' has no attribute 'AdamZ'"),
    "unknown scheduler": ({"lr_scheduler": "cosin"}, "cosin is not a valid SchedulerType"),
}


@pytest.mark.parametrize("case", EARLY)
def test_a_wrong_value_is_found_by_a_traceback(kohya: Kohya, tmp_path: Path, case: str) -> None:
    """Trap: values of the file are not checked; the type fails where it is first used."""
    changes, words = EARLY[case]
    done = kohya.train(tmp_path, **{"max_train_epochs": 1, **changes})
    assert done.code == 1
    assert words in done.err[-1500:]
    assert any(isinstance(event, console.Failed) for event in done.events)
    assert failure.explain(done.events, done.code) is not None


@pytest.mark.parametrize("case", LATE)
def test_a_wrong_value_is_found_late(kohya: Kohya, tmp_path: Path, case: str) -> None:
    kohya.needs_a_model()
    changes, words = LATE[case]
    done = kohya.train(tmp_path, **{"max_train_epochs": 1, **changes})
    assert done.code == 1
    assert words in done.last_words
    assert names(tmp_path) == set()


@pytest.mark.parametrize("where", ["absent", "empty", "data/1_contract woman"])
def test_no_pictures_is_a_success(kohya: Kohya, tmp_path: Path, where: str) -> None:
    """Trap: exit code 0 and one error line, also when the folder of the pictures itself is named."""
    kohya.dataset()
    (kohya.home / "empty").mkdir(exist_ok=True)
    done = kohya.train(tmp_path, train_data_dir=str(kohya.home / where))
    assert done.code == 0, done.err[-1000:]
    assert any(isinstance(event, console.NoData) for event in done.events)
    assert names(tmp_path) == set()


def test_captions_of_the_wrong_kind_are_no_error(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: without caption_extension all .txt files are passed over; the folder's name is trained instead. Stopped by
    a base model that is not there: what is read is read before.
    """
    done = kohya.train(tmp_path, caption_extension=None, pretrained_model_name_or_path="/no/such/model.safetensors")
    assert "No caption file found for 4 images" in done.err


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "caption file is empty"), ("猫耳".encode("cp932"), "UnicodeDecodeError")]
)
def test_a_broken_caption_ends_it(kohya: Kohya, tmp_path: Path, content: bytes, words: str) -> None:
    data = kohya.dataset(f"broken-{len(content)}")
    (data / "1_contract woman" / "img1.txt").write_bytes(content)
    done = kohya.train(tmp_path, train_data_dir=str(data))
    assert done.code == 1
    assert words in done.last_words
    assert "img1.txt" in done.err


def test_a_file_that_is_no_picture_ends_it(kohya: Kohya, tmp_path: Path, observe: Observe) -> None:
    """Trap: ZeroDivisionError. The file's name stands in a warning before it, or nowhere."""
    data = kohya.dataset("no-picture")
    (data / "1_contract woman" / "img1.png").write_bytes(b"no picture")
    done = kohya.train(tmp_path, train_data_dir=str(data))
    assert done.code == 1
    assert "ZeroDivisionError" in done.last_words
    observe(
        f"a file that is no picture is {'' if 'img1.png' in done.err else 'not '}named before the ZeroDivisionError"
    )


def test_nan_is_a_success(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: exit code 0; the bar says nan for ever, and files of NaN are saved."""
    kohya.needs_a_model()
    rates = {"learning_rate": 1e30, "unet_lr": 1e30, "text_encoder_lr": [1e30]}
    done = kohya.train(tmp_path, max_train_epochs=4, max_grad_norm=0, **rates)
    assert done.code == 0, done.err[-1000:]
    assert any(isinstance(event, console.LossIsNaN) for event in done.events)
    weights = load_file(tmp_path / "out" / "contract.safetensors")
    assert not all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file size limit")
def test_a_full_disk_leaves_half_a_file_under_the_final_name(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: nothing is written beside and renamed."""
    import resource

    kohya.needs_a_model()
    config = kohya.config(tmp_path, max_train_epochs=1, network_dim=64)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limit[1]))
    try:
        done = kohya.run([str(kohya.install.script), "--config_file", str(config)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert done.code == 1
    reason = failure.explain(done.events, done.code)
    assert reason is not None
    assert reason.disk_full
    assert (tmp_path / "out" / "contract.safetensors").stat().st_size <= 300_000
