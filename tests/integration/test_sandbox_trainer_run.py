"""The simulated trainer as a process: arguments, console, files, metadata, and resuming."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toml
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import orchestrator.sandbox

ROOT = Path(orchestrator.sandbox.__file__).parent / "sd_scripts"
_REPOSITORY = Path(__file__).resolve().parents[2]
FACTS = Path(os.environ.get("ORCHESTRATOR_FACTS", _REPOSITORY.parent / "shared" / "facts")) / "kohya"


@dataclass(frozen=True)
class Outcome:
    """What a trainer process left: exit code and both streams."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Trainer:
    """A folder with a base model, four pictures with captions, and a way to train from them."""

    home: Path

    @property
    def pictures(self) -> Path:
        """The folder of the four pictures."""
        return self.home / "data" / "2_ai_model_v1 woman"

    @property
    def out(self) -> Path:
        """The folder trained files go to."""
        return self.home / "out"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """A small valid run; a change to None leaves the key out."""
        plain = {
            "pretrained_model_name_or_path": str(self.home / "base.safetensors"),
            "train_data_dir": str(self.home / "data"),
            "output_dir": str(self.out),
            "output_name": "ai_model_v1",
            "resolution": "64",
            "caption_extension": ".txt",
            "network_module": "networks.lora",
            "network_dim": 4,
            "network_alpha": 2,
            "max_train_epochs": 6,
            "cache_latents": True,
            "learning_rate": 1e-4,
            "seed": 42,
            "max_data_loader_n_workers": 0,
            "mixed_precision": "fp16",
            "save_precision": "fp16",
        }
        return {key: value for key, value in {**plain, **changes}.items() if value is not None}

    def train(self, *flags: str, environment: dict[str, str] | None = None, **changes: Any) -> Outcome:
        """Write the configuration and run the trainer until it ends."""
        config = self.home / "config.toml"
        config.write_text(toml.dumps(self.settings(**changes)), encoding="utf-8")
        return self.run("--config_file", str(config), *flags, environment=environment)

    def run(self, *flags: str, environment: dict[str, str] | None = None) -> Outcome:
        """Run the trainer with these flags only."""
        inherited = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "PYTHONUNBUFFERED"}}
        fast = {"ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0", "PYTHONUTF8": "1", "COLUMNS": "1000"}
        done = subprocess.run(
            [sys.executable, str(ROOT / "train_network.py"), *flags],
            cwd=self.home,
            env={**inherited, **fast, **(environment or {})},
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))

    def files(self) -> set[str]:
        """Names in the output folder."""
        return {path.name for path in self.out.iterdir()} if self.out.exists() else set()


def make_trainer(home: Path) -> Trainer:
    """Fill `home` with a base model and a dataset."""
    trainer = Trainer(home)
    trainer.pictures.mkdir(parents=True)
    for number, group in enumerate(("close-up", "close-up", "upper body", "full body")):
        pixels = np.random.default_rng(number).integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(trainer.pictures / f"img{number}.png")
        (trainer.pictures / f"img{number}.txt").write_text(f"ai_model_v1, {group}", encoding="utf-8")
    save_file({"weight": np.zeros(4, dtype=np.float32)}, home / "base.safetensors")
    return trainer


@pytest.fixture
def trainer(ugly_path: Path) -> Trainer:
    """A trainer in a folder with an ugly name."""
    return make_trainer(ugly_path)


def metadata_of(file: Path) -> dict[str, str]:
    """The metadata of a LoRA file."""
    with safe_open(file, framework="np") as opened:
        return dict(opened.metadata())


_DUMP = """
import json, sys
sys.path.insert(0, sys.argv[1])
import train_network
print(json.dumps([
    {"name": a.dest, "flags": a.option_strings, "action": type(a).__name__.strip("_"), "nargs": a.nargs,
     "type": getattr(a.type, "__name__", None), "default": a.default, "choices": a.choices}
    for a in train_network.setup_parser()._actions if a.dest != "help"
]))
"""
#: Used when the observed list is not at hand: arguments with surprising defaults.
_SOME = {
    "caption_extension": ("str", ".caption"), "learning_rate": ("float", 2e-6), "network_dim": ("int", None),
    "network_alpha": ("float", 1), "optimizer_type": ("str", ""), "lr_scheduler": ("str", "constant"),
    "mixed_precision": ("str", "no"), "max_train_steps": ("int", 1600), "max_data_loader_n_workers": ("int", 8),
    "save_every_n_epochs": ("int", None), "enable_bucket": (None, False), "dataset_config": ("Path", None),
    "lr_warmup_steps": ("int_or_float", 0), "initial_epoch": ("int", None), "save_model_as": ("str", "safetensors"),
}  # fmt: skip


def test_the_arguments_are_those_of_sd_scripts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DUMP, str(ROOT)], capture_output=True, check=True, encoding="utf-8", timeout=30
    )
    mine = {argument["name"]: argument for argument in json.loads(done.stdout)}
    assert len(mine) == 193
    observed = FACTS / "train_network_args.json"
    if not observed.is_file():
        assert {name: (mine[name]["type"], mine[name]["default"]) for name in _SOME} == _SOME
        return
    real = json.loads(observed.read_text(encoding="utf-8"))["train_network"]["args"]
    kept = ("name", "flags", "action", "nargs", "type", "default", "choices")
    assert mine == {argument["name"]: {key: argument[key] for key in kept} for argument in real}


def test_starting_is_quick(trainer: Trainer) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "train_network.py"), "--config_file", "absent"],
        cwd=trainer.home,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=30,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "orchestrator.sandbox.training_run" in imported
    assert not imported & {"numpy", "PIL.Image", "starlette", "rich", "httpx"}


def test_files_numbers_and_states(trainer: Trainer) -> None:
    done = trainer.train(save_every_n_epochs=2, save_state=True)
    assert done.code == 0, done.err[-2000:]
    assert trainer.files() == {
        *(f"ai_model_v1{number}.safetensors" for number in ("-000002", "-000004", "")),
        *(f"ai_model_v1{number}-state" for number in ("-000002", "-000004", "")),
    }
    state = trainer.out / "ai_model_v1-000004-state"
    ages = sorted(state.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name for path in ages] == [
        "train_state.json", "model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl",
    ]  # fmt: skip
    assert json.loads((state / "train_state.json").read_text(encoding="utf-8")) == {
        "current_epoch": 4,
        "current_step": 32,
    }
    last = load_file(trainer.out / "ai_model_v1.safetensors")
    assert {value.dtype for value in last.values()} == {np.dtype("float16")}
    assert {value.dtype for value in load_file(state / "model.safetensors").values()} == {np.dtype("float32")}
    order = [
        line.rsplit("/", 1)[-1].rsplit("\\", 1)[-1].split()[0]
        for line in re.findall(r"saving checkpoint: (.*)|Saving current state to (.*)", done.out + done.err)
        for line in line
        if line
    ]
    assert set(order) == trainer.files()


def test_the_metadata_has_the_real_keys_and_true_values(trainer: Trainer) -> None:
    done = trainer.train(save_every_n_epochs=5, max_train_epochs=12, unet_lr=1e-4, text_encoder_lr=[5e-5])
    assert done.code == 0, done.err[-2000:]
    last = metadata_of(trainer.out / "ai_model_v1.safetensors")
    fifth = metadata_of(trainer.out / "ai_model_v1-000005.safetensors")
    observed = FACTS / "kohya_metadata_example.json"
    if observed.is_file():
        assert set(last) == set(json.loads(observed.read_text(encoding="utf-8")))
    assert (fifth["ss_epoch"], fifth["ss_steps"], last["ss_epoch"], last["ss_steps"]) == ("5", "40", "12", "96")
    assert fifth["ss_session_id"] == last["ss_session_id"]
    assert last["ss_num_train_images"] == "8"
    assert json.loads(last["ss_tag_frequency"]) == {
        "2_ai_model_v1 woman": {"ai_model_v1": 4, "close-up": 2, "upper body": 1, "full body": 1}
    }
    assert json.loads(last["ss_dataset_dirs"]) == {"2_ai_model_v1 woman": {"n_repeats": 2, "img_count": 4}}
    assert last["ss_resolution"] == "(64, 64)"
    assert (last["ss_network_dim"], last["ss_network_alpha"]) == ("4", "2")
    assert (last["ss_text_encoder_lr"], last["ss_training_comment"]) == ("5e-05", "None")
    assert last["ss_sd_model_name"] == "base.safetensors"


def test_the_same_seed_gives_the_same_weights_and_another_epoch_others(trainer: Trainer) -> None:
    assert trainer.train(save_every_n_epochs=3).code == 0
    first = metadata_of(trainer.out / "ai_model_v1.safetensors")
    assert trainer.train(save_every_n_epochs=3).code == 0
    again = metadata_of(trainer.out / "ai_model_v1.safetensors")
    third = metadata_of(trainer.out / "ai_model_v1-000003.safetensors")
    assert first["sshs_model_hash"] == again["sshs_model_hash"] != third["sshs_model_hash"]
    assert first["ss_session_id"] != again["ss_session_id"]


def test_old_files_are_removed_when_only_the_last_are_kept(trainer: Trainer) -> None:
    done = trainer.train(save_every_n_epochs=1, save_last_n_epochs=2, save_state=True, save_last_n_epochs_state=1)
    assert done.code == 0, done.err[-2000:]
    assert trainer.files() == {
        "ai_model_v1-000004.safetensors", "ai_model_v1-000005.safetensors", "ai_model_v1.safetensors",
        "ai_model_v1-000005-state", "ai_model_v1-state",
    }  # fmt: skip
    assert done.out.count("removing old checkpoint: ") == 3


def test_names_without_output_name_and_a_ratio_of_saves(trainer: Trainer) -> None:
    assert trainer.train(output_name=None, save_n_epoch_ratio=3).code == 0
    assert trainer.files() == {"epoch-000002.safetensors", "epoch-000004.safetensors", "last.safetensors"}


def test_saving_by_steps(trainer: Trainer) -> None:
    assert trainer.train(save_every_n_steps=20, save_state=True).code == 0
    assert "ai_model_v1-step00000040.safetensors" in trainer.files()
    assert "ai_model_v1-step00000040-state" in trainer.files()


def test_a_dataset_description_with_buckets_decides_the_steps(trainer: Trainer) -> None:
    Image.new("RGB", (64, 160), (90, 90, 200)).save(trainer.pictures / "tall.png")
    description = {
        "general": {"caption_extension": ".txt", "enable_bucket": True, "min_bucket_reso": 64, "bucket_reso_steps": 64},
        "datasets": [
            {
                "resolution": 128,
                "batch_size": 4,
                "subsets": [{"image_dir": str(trainer.pictures), "num_repeats": 3, "class_tokens": "ai_model_v1"}],
            }
        ],
    }
    file = trainer.home / "dataset.toml"
    file.write_text(toml.dumps(description), encoding="utf-8")
    done = trainer.train(dataset_config=str(file), max_train_epochs=2)
    assert done.code == 0, done.err[-2000:]
    # 12 square pictures in threes of four and 3 tall ones in one more batch.
    assert "num batches per epoch / 1epochのバッチ数: 4\n" in done.out
    assert "ignoring the following options because config file is found" in done.err
    found = metadata_of(trainer.out / "ai_model_v1.safetensors")
    datasets = json.loads(found["ss_datasets"])
    assert datasets[0]["bucket_info"]["buckets"] == {
        "0": {"resolution": [64, 192], "count": 3},
        "1": {"resolution": [128, 128], "count": 12},
    }
    assert datasets[0]["subsets"][0]["num_repeats"] == 3
    assert "ss_resolution" not in found


def test_gradient_accumulation_counts_optimizer_steps(trainer: Trainer) -> None:
    done = trainer.train(gradient_accumulation_steps=3)
    assert "steps for 6 epochs is / 指定エポックまでのステップ数: 18\n" in done.out
    assert "18/18" in done.err


def test_command_line_wins_abbreviates_and_the_file_is_not_checked(trainer: Trainer) -> None:
    done = trainer.train("--network_di", "2", "--output_name", "other", network_dimm=9)
    assert done.code == 0, done.err[-2000:]
    assert metadata_of(trainer.out / "other.safetensors")["ss_network_dim"] == "2"


# ── console ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def shapes(console: str) -> Iterator[str]:
    """The console as a sequence of kinds of lines: log places, bars' labels, plain lines with their numbers wiped
    out.
    """
    row = re.compile(r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d| {19}) (INFO|WARNING|ERROR) +.* (\w+\.py:\d+)$")
    before = ""
    # A log line follows a bar without a line feed between them.
    apart = re.sub(r"\] *((?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d| {19}) INFO)", r"]\n\1", console)
    for line in re.split(r"[\r\n]+", apart):
        found = row.match(line)
        if found:
            shape = f"{found[1]} {found[2]}"
        elif re.match(r"(.*: )? *\d+%\|", line):
            shape = "bar " + line.split("%")[0].rstrip("0123456789 ")
        elif line.startswith(" " * 29) or not line.strip():
            continue
        else:
            shape = re.sub(r"(: )/.*/", r"\1", line.replace("cuda", "cpu"))
        shape = re.sub(r"(?<![\w.:])\d+|(?<=/)\d+(?=$)|(?<=-)\d{6}", "#", shape)
        if not (shape == before and shape.startswith("bar")):
            yield shape
        before = shape


def test_the_console_has_the_shape_of_the_real_one(trainer: Trainer) -> None:
    golden = FACTS / "kohya_run_unbuffered.log"
    if not golden.is_file():
        pytest.skip("the observed console is not on this machine")
    real = golden.read_bytes().decode("utf-8")
    real = real.split("accelerate config`.\n", 1)[1]
    (trainer.home / "data" / "2_ai_model_v1 woman").rename(trainer.home / "data" / "1_ai_model_v1 woman")
    model = trainer.home / "diffusers"
    model.mkdir()
    (model / "model_index.json").write_text("{}", encoding="utf-8")
    tokenizers = trainer.home / "tokenizers"
    (tokenizers / "openai_clip-vit-large-patch14").mkdir(parents=True)
    config = trainer.home / "config.toml"
    settings = trainer.settings(
        pretrained_model_name_or_path=str(model), tokenizer_cache_dir=str(tokenizers), max_train_epochs=12,
        save_every_n_epochs=5, save_state=True, sdpa=True, mixed_precision="no",
    )  # fmt: skip
    config.write_text(toml.dumps(settings), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "train_network.py"), "--config_file", str(config)],
        env={
            **{key: value for key, value in os.environ.items() if key != "COLUMNS"},
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        timeout=60,
    )
    mine = done.stdout.decode("utf-8").replace("\r\n", "\n")
    assert mine.startswith("simulated trainer: no network is trained\n")
    assert list(shapes(mine.split("\n", 1)[1])) == list(shapes(real))


def test_streams_are_those_of_the_real_one(trainer: Trainer) -> None:
    done = trainer.train(save_every_n_epochs=2)
    for said in ("no network is trained", "epoch 2/6", "saving checkpoint: ", "running training / 学習開始"):
        assert said in done.out
        assert said not in done.err
    assert "steps: 100%" in done.err
    assert "epoch is incremented. current_epoch: 1, epoch: 2" in done.err
    assert "steps: 100%" not in done.out


def test_slow_steps_are_printed_twice(trainer: Trainer) -> None:
    done = trainer.train(max_train_epochs=1, environment={"ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.11"})
    prints = re.findall(r"\rsteps: +\d+%\|[^|]+\| (\d+)/8 \[[^\]]*\]", done.err)
    assert prints[1:].count("3") == 2
    assert re.search(r"\| 3/8 \[00:00<00:00,  \d\.\d\dit/s, avr_loss=0\.\d+\]", done.err)


def test_without_unbuffered_output_the_epochs_arrive_only_at_the_end(trainer: Trainer) -> None:
    """A kill loses what was said since the bar began; that is why a supervisor sets PYTHONUNBUFFERED."""
    config = trainer.home / "config.toml"
    config.write_text(toml.dumps(trainer.settings(max_train_epochs=400)), encoding="utf-8")

    def said(**environment: str) -> str:
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "train_network.py"), "--config_file", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**inherited, "PYTHONUTF8": "1", "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.02", **environment},
        )
        assert process.stderr is not None and process.stdout is not None
        seen = b""
        while b"epoch: 3" not in seen:
            seen += os.read(process.stderr.fileno(), 65536)
        process.kill()
        out = process.stdout.read().decode("utf-8")
        process.communicate()
        return out

    assert "epoch 1/400" not in said()
    assert "epoch 2/400" in said(PYTHONUNBUFFERED="1")


def test_workers_each_say_that_the_epoch_goes_on(trainer: Trainer) -> None:
    done = trainer.train(max_data_loader_n_workers=1, max_train_epochs=3)
    assert done.err.count("epoch is incremented. current_epoch: 0, epoch: 3") == 1


def test_a_plain_console_goes_to_stdout(trainer: Trainer) -> None:
    done = trainer.train(console_log_simple=True)
    assert "prepare images.\n" in done.out
    assert "INFO" in done.err, "the settings file is read before the console is set up"
    assert "prepare images." not in done.err


# ── resume ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_resumed_run_continues_the_epochs_but_counts_steps_anew(trainer: Trainer) -> None:
    assert trainer.train(save_every_n_epochs=1, save_state=True).code == 0
    straight = metadata_of(trainer.out / "ai_model_v1.safetensors")
    state = trainer.out / "ai_model_v1-000004-state"
    done = trainer.train(save_every_n_epochs=1, save_state=True, resume=str(state))
    assert done.code == 0, done.err[-2000:]
    assert re.findall(r"epoch \d/6", done.out) == ["epoch 5/6", "epoch 6/6"]
    assert "16/48" in done.err
    assert "17/48" not in done.err
    assert "epoch is incremented. current_epoch: 0, epoch: 5" in done.err
    resumed = metadata_of(trainer.out / "ai_model_v1.safetensors")
    assert resumed["ss_steps"] == "16"
    assert resumed["ss_epoch"] == straight["ss_epoch"] == "6"
    fifth = json.loads((trainer.out / "ai_model_v1-000005-state" / "train_state.json").read_text(encoding="utf-8"))
    assert fifth == {"current_epoch": 5, "current_step": 8}
    again = trainer.train(save_every_n_epochs=1, resume=str(trainer.out / "ai_model_v1-000005-state"))
    assert re.findall(r"epoch \d/6", again.out)[0] == "epoch 2/6", "the state's step was counted from the resume"
    cured = trainer.train("--initial_epoch", "6", resume=str(trainer.out / "ai_model_v1-000005-state"))
    assert re.findall(r"epoch \d/6", cured.out) == ["epoch 6/6"]
    assert "steps from the state is ignored because initial_step is specified" in cured.err


def test_states_that_cannot_be_resumed(trainer: Trainer) -> None:
    assert trainer.train(save_every_n_epochs=3, save_state=True).code == 0
    finished = trainer.train(resume=str(trainer.out / "ai_model_v1-state"))
    assert finished.code == 1
    assert "AssertionError: max_train_steps should be greater than initial step" in finished.err
    assert "48 vs 48" in finished.err
    longer = trainer.train(resume=str(trainer.out / "ai_model_v1-state"), max_train_epochs=8)
    assert longer.code == 0
    missing = trainer.train(resume=str(trainer.out / "nothing"))
    assert missing.code == 1
    assert "ValueError: Tried to find" in missing.err
    state = trainer.out / "ai_model_v1-000003-state"
    other = trainer.train(resume=str(state), network_dim=8)
    assert other.code == 1
    assert "RuntimeError: Error(s) in loading state_dict" in other.err
    assert "size mismatch" in other.err
    (state / "optimizer.bin").write_bytes((state / "optimizer.bin").read_bytes()[:100])
    broken = trainer.train(resume=str(state))
    assert broken.code == 1
    assert "RuntimeError: PytorchStreamReader failed reading zip archive" in broken.err
