"""The simulated trainer's other scripts, its launcher, its sample pictures and what it tells TensorBoard."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import toml
from PIL import Image
from safetensors.numpy import load_file, save_file

from orchestrator.sandbox import event_files
from orchestrator.sandbox.training_samples import from_line
from orchestrator.sandbox.training_trackers import schedule

from .test_sandbox_trainer_run import FACTS, ROOT, Outcome, Trainer, make_trainer, metadata_of


@pytest.fixture
def trainer(ugly_path: Path) -> Trainer:
    return make_trainer(ugly_path)


def run(trainer: Trainer, *command: str, environment: dict[str, str] | None = None, **changes: Any) -> Outcome:
    """Write the configuration and start `command` in the trainer's own folder."""
    config = trainer.home / "config.toml"
    config.write_text(toml.dumps(trainer.settings(**changes)), encoding="utf-8")
    fast = {"ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0", "PYTHONUTF8": "1", "COLUMNS": "1000"}
    done = subprocess.run(
        [sys.executable, *command, "--config_file", str(config)],
        cwd=ROOT, env={**os.environ, **fast, **(environment or {})}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


# ── SDXL and Flux ────────────────────────────────────────────────────────────────────────────────────────────────────

_DUMP = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
actions = [a for a in importlib.import_module(sys.argv[2]).setup_parser()._actions if a.dest != "help"]
print(json.dumps({
    a.dest: [type(a).__name__.strip("_"), a.nargs, getattr(a.type, "__name__", None), a.default, a.choices]
    for a in actions
}))
"""


@pytest.mark.parametrize(("script", "count"), [("sdxl_train_network", 196), ("flux_train_network", 215)])
def test_the_arguments_are_those_of_sd_scripts(script: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DUMP, str(ROOT), script], capture_output=True, check=True, encoding="utf-8", timeout=30
    )
    mine = json.loads(done.stdout)
    assert len(mine) == count
    observed = FACTS / "train_network_args.json"
    if observed.is_file():
        kept = ("action", "nargs", "type", "default", "choices")
        real = json.loads(observed.read_text(encoding="utf-8"))[script]["args"]
        assert mine == {argument["name"]: [argument[key] for key in kept] for argument in real}


def test_sdxl_has_files_and_names_of_its_own(trainer: Trainer) -> None:
    done = run(
        trainer, "sdxl_train_network.py", cache_latents_to_disk=True, cache_text_encoder_outputs_to_disk=True,
        network_train_unet_only=True, caption_extension=".txt",
    )  # fmt: skip
    assert done.code == 0, done.err[-600:]
    names = {path.name for path in trainer.pictures.glob("*.npz")}
    assert names == {f"img{n}{end}" for n in range(4) for end in ("_0096x0096_sdxl.npz", "_te_outputs.npz")}
    last = trainer.out / "ai_model_v1.safetensors"
    assert metadata_of(last)["ss_base_model_version"] == "sdxl_base_v1-0"
    assert metadata_of(last)["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert {name.split("_")[1] for name in load_file(last)} == {"unet"}  # the text encoders were not trained
    assert "set image size from cache files: 4/4" in run(trainer, "sdxl_train_network.py").err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"v2": True}, "AssertionError: v2 cannot be enabled in SDXL training"),
        ({"cache_text_encoder_outputs": True}, "network for Text Encoder cannot be trained with caching"),
        (
            {"cache_text_encoder_outputs": True, "network_train_unet_only": True, "shuffle_caption": True},
            "when caching Text Encoder output, either caption_dropout_rate",
        ),
    ],
)
def test_what_sdxl_refuses(trainer: Trainer, changes: dict[str, Any], words: str) -> None:
    done = run(trainer, "sdxl_train_network.py", **changes)
    assert done.code == 1
    assert words in done.err.splitlines()[-1]


def test_flux_needs_its_parts_and_keeps_one_latent_for_each_size(trainer: Trainer) -> None:
    alone = run(trainer, "flux_train_network.py", network_module="networks.lora_flux")
    assert alone.code == 1
    assert "TypeError" in alone.err.splitlines()[-1]
    parts = {}
    for part in ("clip_l", "t5xxl", "ae"):
        parts[part] = str(trainer.home / f"{part}.safetensors")
        save_file({"weight": np.zeros(4, dtype=np.float32)}, parts[part])
    for size in ("64", "128"):
        done = run(
            trainer, "flux_train_network.py", network_module="networks.lora_flux", resolution=size,
            cache_latents_to_disk=True, **parts,
        )  # fmt: skip
        assert done.code == 0, done.err[-600:]
    with np.load(trainer.pictures / "img0_0096x0096_flux.npz") as archive:
        assert {"latents_8x8", "latents_16x16"} <= set(archive.files)
    found = metadata_of(trainer.out / "ai_model_v1.safetensors")
    assert (found["ss_base_model_version"], found["ss_guidance_scale"]) == ("flux1", "3.5")


# ── accelerate ───────────────────────────────────────────────────────────────────────────────────────────────────────

LAUNCH = (
    "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "1", "--num_machines", "1",
    "--mixed_precision", "fp16", "--dynamo_backend", "no",
)  # fmt: skip


def test_a_launched_run_is_the_same_run(trainer: Trainer) -> None:
    done = run(trainer, *LAUNCH, "train_network.py")
    assert done.code == 0, done.err[-600:]
    assert "were not passed to `accelerate launch`" not in done.err
    assert trainer.files() == {"ai_model_v1.safetensors"}
    bare = run(trainer, *LAUNCH[:3], "train_network.py")
    assert "\t`--num_machines` was set to a value of `1`" in bare.err


def test_a_failure_becomes_one_and_two_tracebacks(trainer: Trainer) -> None:
    done = run(trainer, *LAUNCH, "train_network.py", optimizer_type="AdamZ")
    assert done.code == 1
    assert done.err.count("Traceback (most recent call last):") == 2
    assert "has no attribute 'AdamZ'" in done.err
    assert re.search(r"subprocess.CalledProcessError: Command .* returned non-zero exit status 1\.", done.err)


def test_several_processes_share_the_batches_and_one_saves(trainer: Trainer) -> None:
    done = run(
        trainer, *LAUNCH[:3], "--multi_gpu", "--num_processes", "2", "train_network.py",
        save_every_n_epochs=3, save_state=True,
    )  # fmt: skip
    assert done.code == 0, done.err[-600:]
    assert "24/24" in done.err, "6 epochs of 8 batches by 2"
    assert done.out.count("\nepoch 1/6\n") == 1
    state = trainer.out / "ai_model_v1-000003-state"
    assert {path.name for path in state.iterdir()} == {
        "train_state.json", "model.safetensors", "optimizer.bin", "scheduler.bin", "random_states_0.pkl",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_launcher_killed_alone_leaves_an_orphan_that_trains_on(trainer: Trainer) -> None:
    config = trainer.home / "config.toml"
    config.write_text(toml.dumps(trainer.settings(save_every_n_epochs=1)), encoding="utf-8")
    environment = {**os.environ, "PYTHONUTF8": "1", "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.05"}
    launcher = psutil.Popen(
        [sys.executable, *LAUNCH, "train_network.py", "--config_file", str(config)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 30
    while not trainer.files() and time.monotonic() < until:
        time.sleep(0.02)
    (orphan,) = launcher.children()
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait() == -signal.SIGTERM
    before = trainer.files()
    while trainer.files() == before and time.monotonic() < until:
        time.sleep(0.02)
    assert orphan.is_running()
    assert trainer.files() > before
    orphan.kill()


def test_a_wrong_launcher_argument(trainer: Trainer) -> None:
    done = run(trainer, *LAUNCH[:3], "--num_proceses", "1", "train_network.py")
    assert done.code == 2
    assert "error: " in done.err.splitlines()[-1]


# ── samples ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sample_pictures_by_epochs(trainer: Trainer) -> None:
    prompts = trainer.home / "samples.txt"
    prompts.write_text("# two\nai_model_v1, close-up --w 64 --h 96 --d 1 --s 2 --n hat\n\na woman --s 1\n", "utf-8")
    done = run(
        trainer, "train_network.py", sample_prompts=str(prompts), sample_every_n_epochs=3, sample_at_first=True,
        sample_every_n_steps=1, save_every_n_epochs=3, save_state=True,
    )  # fmt: skip
    assert done.code == 0, done.err[-600:]
    drawn = sorted(path.name for path in (trainer.out / "sample").iterdir())
    shapes = [re.sub(r"\d{14}", "T", name) for name in drawn]
    assert shapes == [
        f"ai_model_v1_e{epoch}_{end}.png" for epoch in ("000000", "000003", "000006") for end in ("00_T_1", "01_T")
    ]
    with Image.open(trainer.out / "sample" / drawn[0]) as picture:
        assert picture.size == (64, 96)
    third = done.err.index("generating sample images at step / サンプル画像生成 ステップ: 24")
    assert done.err.index("ai_model_v1-000003-state") < third, "pictures come after file and state"


def test_sample_pictures_by_steps_and_a_missing_prompt_file(trainer: Trainer) -> None:
    prompts = trainer.home / "samples.txt"
    prompts.write_text("a woman --w 64 --h 64 --s 1\n", "utf-8")
    assert run(trainer, "train_network.py", sample_prompts=str(prompts), sample_every_n_steps=20).code == 0
    drawn = sorted(path.name for path in (trainer.out / "sample").iterdir())
    assert [name[:19] for name in drawn] == ["ai_model_v1_000020_", "ai_model_v1_000040_"]
    done = run(trainer, "train_network.py", sample_prompts=str(trainer.home / "no.txt"), sample_every_n_epochs=6)
    assert done.code == 0
    assert "No prompt file / プロンプトファイルがありません" in done.err


def test_sample_pictures_leave_the_losses_as_they_are(trainer: Trainer) -> None:
    prompts = trainer.home / "samples.txt"
    prompts.write_text("a woman --w 64 --h 64 --s 1\n", "utf-8")
    assert run(trainer, "train_network.py").code == 0
    plain = metadata_of(trainer.out / "ai_model_v1.safetensors")["sshs_model_hash"]
    assert run(trainer, "train_network.py", sample_prompts=str(prompts), sample_every_n_epochs=1).code == 0
    assert metadata_of(trainer.out / "ai_model_v1.safetensors")["sshs_model_hash"] == plain


def test_a_line_of_the_prompt_file() -> None:
    assert from_line("a - b --w 512 --d 7 --l 6.5 --n bad --hands") == {
        "prompt": "a - b", "width": 512, "seed": 7, "scale": 6.5, "negative_prompt": "bad",
    }  # fmt: skip


# ── TensorBoard ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_is_byte_for_byte_tensorboards_own() -> None:
    """Made by tensorboard 2.20's protobuf classes and RecordWriter: loss/current 0.125 at step 300."""
    event = bytes.fromhex("0900001040fc54d94110ac022a150a130a0c6c6f73732f63757272656e74150000003e")
    framed = bytes.fromhex("2300000000000000b09f7743") + event + bytes.fromhex("3a54a941")
    assert event_files.scalar("loss/current", 0.125, 300, 1700000000.25) == event
    assert event_files.record(event) == framed


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """tag → (step, value) of the one event file under `folder`, by the writer's own framing."""
    (file,) = folder.rglob("events.out.tfevents.*")
    data, found = file.read_bytes(), dict[str, list[tuple[int, float]]]()
    while data:
        size = int.from_bytes(data[:8], "little")
        content, data = data[12 : 12 + size], data[16 + size :]
        tag = re.search(rb"\x0a.([a-z_]+/[a-z0-9_]+)\x15(....)$", content, re.DOTALL)
        step = re.match(rb"\x09.{8}\x10([\x80-\xff]*[\x00-\x7f])", content, re.DOTALL)
        if tag and step:
            number = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(step[1]))
            found.setdefault(tag[1].decode(), []).append((number, float(np.frombuffer(tag[2], "<f4")[0])))
    return found


def test_every_step_and_epoch_is_told_to_tensorboard(trainer: Trainer) -> None:
    folder = trainer.home / "tensorboard"
    changes = {"unet_lr": 1e-3, "text_encoder_lr": [5e-4], "lr_scheduler": "cosine", "save_every_n_epochs": 3}
    assert run(trainer, "train_network.py", logging_dir=str(folder), save_state=True, **changes).code == 0
    (written,) = folder.iterdir()
    assert re.fullmatch(r"\d{14}", written.name)
    told = events(written / "network_train")
    assert set(told) == {
        "loss/current", "loss/average", "loss/epoch_average", "lr/textencoder", "lr/unet", "lr/group1",
    }  # fmt: skip
    assert [step for step, _ in told["loss/current"]] == list(range(1, 49))
    assert [step for step, _ in told["loss/epoch_average"]] == [1, 2, 3, 4, 5, 6]
    rates = [value for _, value in told["lr/unet"]]
    assert rates == sorted(rates, reverse=True)
    assert rates[23] == pytest.approx(5e-4)
    assert rates[-1] == pytest.approx(0.0)
    again = trainer.home / "again"
    resumed = run(
        trainer, "train_network.py", "--initial_epoch", "4", logging_dir=str(again),
        resume=str(trainer.out / "ai_model_v1-000003-state"), **changes,
    )  # fmt: skip
    assert resumed.code == 0, resumed.err[-600:]
    later = events(again)["lr/unet"]
    assert [step for step, _ in later] == list(range(1, 25)), "steps are counted anew"
    assert [value for _, value in later] == pytest.approx(rates[24:]), "the schedule goes on"


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("constant", (1.0, 1.0, 1.0)),
        ("linear", (1.0, 0.5, 0.0)),
        ("cosine", (1.0, 0.5, 0.0)),
        ("cosine_with_restarts", (1.0, 1.0, 0.0)),
        ("polynomial", (1.0, 0.25, 0.0)),
    ],
)
def test_schedules_after_their_warm_up(name: str, shares: tuple[float, ...]) -> None:
    args = argparse.Namespace(lr_scheduler=name, lr_warmup_steps=0.1, lr_scheduler_num_cycles=2, lr_scheduler_power=2.0)
    assert schedule(args, 5, 100) == 0.5
    assert [round(schedule(args, done, 100), 6) for done in (10, 55, 100)] == list(shares)


# ── consoles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_japanese_windows_console(trainer: Trainer) -> None:
    config = trainer.home / "config.toml"
    out = trainer.home / "出力"
    config.write_text(toml.dumps(trainer.settings(output_dir=str(out))), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "train_network.py"), "--config_file", str(config)],
        env={**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp932:replace", "COLUMNS": "1000"},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-600:]
    assert f"saving checkpoint: {out}".encode("cp932", "replace") in done.stdout
    assert "学習開始".encode("cp932") in done.stdout
    assert b"|##########| 48/48" in done.stderr
