"""What a simulated LoRA file holds comes from the dataset's pixels and captions."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from orchestrator.sandbox.learned import Learned, from_tensors
from orchestrator.sandbox.person import person_of, to_values
from orchestrator.sandbox.portrait import Portrait, draw

from .test_sandbox_trainer_run import Trainer, make_trainer


@pytest.fixture(scope="module")
def tilted(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A trainer whose pictures are two close-ups of one person, tilted by 15 degrees, with their cache files. No more
    than two: each takes a second to be read closely, in every training.
    """
    home = tmp_path_factory.mktemp("tilted") / "it's 初音"
    home.mkdir()
    trainer = make_trainer(home)
    for number in (1, 3):
        for kind in ("png", "txt"):
            (trainer.pictures / f"img{number}.{kind}").unlink()
    draw_pictures(trainer, roll_deg=15.0)
    assert trainer.train(resolution="256", cache_latents_to_disk=True).code == 0
    return trainer


@pytest.fixture
def trainer(tilted: Trainer, ugly_path: Path) -> Trainer:
    """A copy of `tilted` that may be changed."""
    home = ugly_path / "copy"
    shutil.copytree(tilted.home, home)
    copy = Trainer(home)
    shutil.rmtree(copy.out)
    return copy


def draw_pictures(trainer: Trainer, roll_deg: float) -> None:
    """Draw close-ups of one person with this head tilt in place of the trainer's pictures."""
    for number, path in enumerate(sorted(trainer.pictures.glob("*.png"))):
        portrait = Portrait(person=person_of(7), roll_deg=roll_deg, noise_seed=number)
        draw(replace(portrait, smile=0.1 * number), 256, 256).save(path)


def learned(file: Path) -> Learned:
    """What the file's own numbers hold; bfloat16, which numpy does not know, is widened by hand."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    if {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"BF16"}:
        halves = np.frombuffer(content[start:], dtype="<u2").astype(np.uint32)
        numbers = (halves << 16).view(np.float32)
        spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
        values = {name: numbers[first // 2 : last // 2] for name, (first, last) in spans.items()}
    else:
        values = load_file(file)
    found = from_tensors(values)
    assert found is not None
    return found


@pytest.mark.parametrize("precision", ["fp16", "bf16", "float"])
def test_a_tilted_dataset_gives_a_tilted_lora(trainer: Trainer, precision: str) -> None:
    done = trainer.train(resolution="256", save_every_n_epochs=2, save_precision=precision, cache_latents_to_disk=True)
    assert done.code == 0, done.err[-2000:]
    last, second = (
        learned(trainer.out / "ai_model_v1.safetensors"),
        learned(trainer.out / "ai_model_v1-000002.safetensors"),
    )
    assert last.group("close-up").roll_deg == pytest.approx(15.0, abs=2.0)
    assert last.trigger == "ai_model_v1"
    assert set(last.words) == {"close-up", "upper body"}
    assert second.progress == pytest.approx(1 / 3)
    assert last.progress == 1.0
    apart = [abs(seen - drawn) for seen, drawn in zip(to_values(last.person), to_values(person_of(7)), strict=True)]
    assert sum(apart) / len(apart) < 0.15, "the person in the pictures is the person in the file"


def test_old_cache_files_hide_straightened_pictures(trainer: Trainer) -> None:
    draw_pictures(trainer, roll_deg=0.0)
    assert trainer.train(resolution="256", cache_latents_to_disk=True).code == 0
    stale = learned(trainer.out / "ai_model_v1.safetensors")
    assert stale.group("close-up").roll_deg == pytest.approx(15.0, abs=2.0)
    for cache in trainer.pictures.glob("*.npz"):
        cache.unlink()
    assert trainer.train(resolution="256", cache_latents_to_disk=True).code == 0
    fresh = learned(trainer.out / "ai_model_v1.safetensors")
    assert fresh.group("close-up").roll_deg == pytest.approx(0.0, abs=2.0)


def test_repeats_weigh_the_groups(trainer: Trainer) -> None:
    wide = trainer.home / "data" / "6_ai_model_v1 woman"
    wide.mkdir()
    draw(Portrait(person=person_of(7), framing="full body", head=0.165, centre_y=0.125), 256, 256).save(wide / "a.png")
    (wide / "a.txt").write_text("ai_model_v1, full body", encoding="utf-8")
    assert trainer.train(resolution="256", cache_latents_to_disk=True).code == 0
    shares = {group.framing: group.share for group in learned(trainer.out / "ai_model_v1.safetensors").groups}
    # Two pictures shown twice against one shown six times.
    assert shares == {"close-up": pytest.approx(4 / 10), "full body": pytest.approx(6 / 10)}


def test_a_world_that_does_not_exist_is_refused(trainer: Trainer) -> None:
    done = trainer.train(resolution="256", environment={"ORCHESTRATOR_SANDBOX_WORLD": "flat"})
    assert done.code == 1
    assert "there are story, equal, spike" in done.err.splitlines()[-1]
