"""A run: the names of what it leaves, the order it leaves it in, what its console tells our parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from orchestrator.kohya import console
from tests.contract.kohya_subject import EPOCHS, Kohya, metadata, names
from tests.contract.subject import Observe

_STATE_FILES = ["train_state.json", "model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl"]
#: What our record and `lora show` read out of a file.
_KEYS = {
    "ss_epoch", "ss_num_epochs", "ss_steps", "ss_max_train_steps", "ss_output_name", "ss_session_id",
    "ss_training_started_at", "ss_training_finished_at", "ss_seed", "ss_network_module", "ss_network_dim",
    "ss_network_alpha", "ss_learning_rate", "ss_unet_lr", "ss_text_encoder_lr", "ss_lr_scheduler", "ss_optimizer",
    "ss_resolution", "ss_sd_model_name", "ss_sd_model_hash", "ss_new_sd_model_hash", "ss_dataset_dirs",
    "ss_tag_frequency", "ss_num_train_images", "ss_base_model_version", "ss_mixed_precision", "ss_clip_skip",
    "sshs_model_hash", "sshs_legacy_hash",
}  # fmt: skip


def test_numbers_in_names_and_none_in_the_last(kohya: Kohya) -> None:
    """Trap: the last epoch's file has no number, even where one was due."""
    folder, _ = kohya.whole_run
    assert names(folder) - {"sample"} == {
        *(f"contract{number}.safetensors" for number in ("-000002", "-000004", "")),
        *(f"contract{number}-state" for number in ("-000002", "-000004", "")),
    }


def test_a_state_is_written_in_this_order(kohya: Kohya) -> None:
    """Trap: train_state.json comes first and proves nothing; a state with random_states_0.pkl is whole."""
    folder, _ = kohya.whole_run
    state = folder / "out" / "contract-000004-state"
    assert {path.name for path in state.iterdir()} == set(_STATE_FILES)
    ages = [(state / name).stat().st_mtime_ns for name in _STATE_FILES]
    assert ages == sorted(ages)
    assert json.loads((state / "train_state.json").read_text(encoding="utf-8")) == {
        "current_epoch": 4,
        "current_step": 4,
    }


def test_a_file_comes_before_its_state_but_the_last_file_after_it(kohya: Kohya) -> None:
    """Trap: a kill between the last state and the last file leaves a state that cannot be resumed."""
    out = kohya.whole_run[0] / "out"

    def age(name: str) -> int:
        return (out / name).stat().st_mtime_ns

    assert age("contract-000002.safetensors") <= age("contract-000002-state/train_state.json")
    assert age("contract-state/random_states_0.pkl") <= age("contract.safetensors")


def test_the_metadata_says_what_was_asked(kohya: Kohya) -> None:
    out = kohya.whole_run[0] / "out"
    last, second = metadata(out / "contract.safetensors"), metadata(out / "contract-000002.safetensors")
    assert set(last) >= _KEYS
    assert (second["ss_epoch"], second["ss_steps"], last["ss_epoch"], last["ss_steps"]) == ("2", "2", "5", "5")
    assert second["ss_session_id"] == last["ss_session_id"]
    assert (last["ss_network_dim"], last["ss_network_alpha"], last["ss_seed"]) == ("2", "1", "42")
    assert (last["ss_unet_lr"], last["ss_text_encoder_lr"]) == ("0.0001", "5e-05")
    assert last["ss_num_epochs"] == last["ss_max_train_steps"] == str(EPOCHS)
    assert last["ss_resolution"] == "(64, 64)"
    assert last["ss_base_model_version"] == "sd_v1"
    assert last["ss_output_name"] == "contract"
    assert json.loads(last["ss_dataset_dirs"]) == {"1_contract woman": {"n_repeats": 1, "img_count": 4}}
    assert float(last["ss_training_started_at"]) < float(last["ss_training_finished_at"])


def test_the_weights_are_numbers_under_known_names(kohya: Kohya) -> None:
    weights = load_file(kohya.whole_run[0] / "out" / "contract.safetensors")
    assert all(name.startswith(("lora_te_", "lora_unet_")) for name in weights)
    assert {value.dtype for value in weights.values()} == {np.dtype("float16")}
    assert all(np.isfinite(value).all() for value in weights.values())


def test_our_parser_follows_the_console(kohya: Kohya) -> None:
    """Everything a supervisor reacts to is in these events; the bar ends with the whole number of steps."""
    events = kohya.whole_run[1].events
    steps = [event for event in events if isinstance(event, console.Step)]
    assert {step.total for step in steps} == {EPOCHS}
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert steps[-1].step == EPOCHS
    assert steps[-1].loss is not None
    assert [event.epoch for event in events if isinstance(event, console.EpochStarted)] == [1, 2, 3, 4, 5]
    saved = [event.path for event in events if isinstance(event, console.CheckpointSaved)]
    assert [Path(path).name for path in saved] == [
        "contract-000002.safetensors", "contract-000004.safetensors", "contract.safetensors",
    ]  # fmt: skip
    states = [event.path for event in events if isinstance(event, console.StateSaved)]
    assert [Path(path).name for path in states] == ["contract-000002-state", "contract-000004-state", "contract-state"]
    assert any(isinstance(event, console.ModelSaved) for event in events)
    assert not [event for event in events if isinstance(event, console.Failed | console.NoData | console.LossIsNaN)]


def test_samples_are_drawn_after_the_epoch_was_saved(kohya: Kohya) -> None:
    out = kohya.whole_run[0] / "out"
    (drawn,) = (out / "sample").iterdir()
    assert re.fullmatch(r"contract_e000004_00_\d{14}_7\.png", drawn.name)
    with Image.open(drawn) as picture:
        assert picture.size == (64, 64)
    assert drawn.stat().st_mtime_ns >= (out / "contract-000004-state" / "random_states_0.pkl").stat().st_mtime_ns


def test_tensorboard_is_told_under_a_folder_of_this_start(kohya: Kohya, observe: Observe) -> None:
    folder = kohya.whole_run[0] / "tensorboard"
    found = sorted(folder.rglob("events.out.tfevents.*"))
    if not found:
        observe("logging_dir leaves no event file: the tensorboard package is missing")
        return
    assert re.fullmatch(r"\d{14}/network_train/events\.out\.tfevents\..*", found[0].relative_to(folder).as_posix())
    data = found[0].read_bytes()
    for tag in ("loss/current", "loss/average", "lr/unet", "lr/textencoder", "loss/epoch_average"):
        assert tag.encode() in data


def test_files_of_an_earlier_run_stay_beside_new_ones(kohya: Kohya, tmp_path: Path) -> None:
    """Trap: nothing is cleared. A shorter run leaves the longer one's files, told apart by their session alone."""
    kohya.needs_a_model()
    assert kohya.train(tmp_path, max_train_epochs=3, save_every_n_epochs=1).code == 0
    assert kohya.train(tmp_path, max_train_epochs=2, save_every_n_epochs=1).code == 0
    assert names(tmp_path) == {f"contract{number}.safetensors" for number in ("-000001", "-000002", "")}
    old, new = (metadata(tmp_path / "out" / f"contract{number}.safetensors") for number in ("-000002", ""))
    assert old["ss_session_id"] != new["ss_session_id"]


def test_old_latents_are_used_for_another_resolution(kohya: Kohya, tmp_path: Path, observe: Observe) -> None:
    """Trap: the file beside the picture is taken whatever resolution, model or picture it was made from. Versions
    before August 2024 compare the size.
    """
    kohya.needs_a_model()
    data = kohya.dataset("cached")
    common = {"train_data_dir": str(data), "cache_latents_to_disk": True, "max_train_epochs": 1}
    assert kohya.train(tmp_path, resolution="64", **common).code == 0
    caches = sorted((data / "1_contract woman").glob("*.npz"))
    assert [path.name for path in caches] == [f"img{number}_0096x0096_sd.npz" for number in range(4)]
    before = [path.stat().st_mtime_ns for path in caches]
    assert kohya.train(tmp_path, resolution="128", **common).code == 0
    kept = [path.stat().st_mtime_ns for path in caches] == before
    observe(f"latents of another resolution are {'used without a word' if kept else 'made anew'}")
    assert metadata(tmp_path / "out" / "contract.safetensors")["ss_resolution"] == "(128, 128)"
    with np.load(caches[0]) as archive:
        assert archive["latents"].shape[1:] == ((8, 8) if kept else (16, 16))
