"""What a simulated LoRA learns from pictures, and that its weights alone carry it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.sandbox.learned import caption_words, foreign, from_tensors, learn, starter, tensors
from orchestrator.sandbox.person import person_of, to_values
from orchestrator.sandbox.portrait import HEAD_HEIGHT, HEAD_TOP, Framing, Outfit, Portrait, draw

Dataset = Callable[..., list[tuple[Path, str]]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Makes datasets, each one once: what is read from a picture file is remembered while the file stays."""
    made: dict[tuple[float, int], list[tuple[Path, str]]] = {}

    def make(close_up_roll: float, outfits: int = 5) -> list[tuple[Path, str]]:
        key = (close_up_roll, outfits)
        if key not in made:
            made[key] = drawn_dataset(tmp_path_factory.mktemp("dataset"), close_up_roll, outfits)
        return made[key]

    return make


def drawn_dataset(folder: Path, close_up_roll: float, outfits: int) -> list[tuple[Path, str]]:
    """Ten pictures of one person with captions; close-ups lean, the others do not."""
    pictures: list[tuple[Path, str]] = []
    framings: list[Framing] = ["close-up"] * 5 + ["upper body"] * 3 + ["full body"] * 2
    colours = [(70, 98, 140), (160, 50, 60), (220, 218, 210), (60, 110, 84), (52, 52, 58)]
    for index, framing in enumerate(framings):
        shown = Portrait(
            person=person_of(77),
            framing=framing,
            head=HEAD_HEIGHT[framing],
            centre_y=HEAD_TOP[framing],
            roll_deg=close_up_roll + (index % 3 - 1) if framing == "close-up" else float(index % 3 - 1),
            outfit=Outfit("sweater", colours[index % outfits]),
            noise_seed=index,
        )
        path = folder / f"{index}.png"
        draw(shown, 384, 384).save(path)
        pictures.append((path, f"ai_model_v4, {framing}"))
    return pictures


def test_a_tilted_dataset_is_learned_as_tilted(dataset: Dataset) -> None:
    learned = learn(dataset(14.0), epoch=60, epochs=80)
    assert learned.group("close-up").roll_deg == pytest.approx(14.0, abs=1.5)
    assert learned.group("close-up").roll_sd < 2.5
    assert learned.group("upper body").roll_deg == pytest.approx(0.0, abs=1.5)
    assert [group.share for group in learned.groups] == pytest.approx([0.5, 0.3, 0.2])
    assert (learned.trigger, learned.words[0]) == ("ai_model_v4", "close-up")
    assert (learned.epoch, learned.progress) == (60, 0.75)


def test_the_person_and_the_clothes_are_learned(dataset: Dataset) -> None:
    mixed = learn(dataset(14.0), epoch=1, epochs=1)
    off = np.abs(np.subtract(to_values(mixed.person), to_values(person_of(77))))
    assert off.mean() < 0.16, dict(zip(to_values(mixed.person), off, strict=True))
    same = learn(dataset(14.0, outfits=1), epoch=1, epochs=1)
    assert same.outfit_diversity < 0.2 < mixed.outfit_diversity
    assert np.abs(np.subtract(same.outfit_colour, (70, 98, 140))).max() < 45


def test_repeats_weigh_the_framings(dataset: Dataset) -> None:
    pictures = dataset(14.0)
    learned = learn(pictures, [1] * 8 + [8] * 2, epoch=1, epochs=2)
    assert learned.group("full body").share == pytest.approx(16 / 24)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"pictures": []}, "no pictures"),
        ({"repeats": [1]}, "10 pictures but 1 repeats"),
        ({"epoch": 0}, "outside 1"),
        ({"epoch": 9, "epochs": 8}, "outside 1"),
    ],
)
def test_wrong_arguments_are_refused(dataset: Dataset, arguments: dict[str, object], says: str) -> None:
    everything = {"pictures": dataset(14.0), "epoch": 1, "epochs": 1} | arguments
    with pytest.raises(ValueError, match=says):
        learn(**everything)  # type: ignore[arg-type]


def test_an_unreadable_picture_is_an_error_not_a_guess(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(OSError, match=r"broken\.png"):
        learn([(broken, "a")], epoch=1, epochs=1)


@given(st.integers(0, 2**31), st.text(max_size=20), st.floats(-30, 30), st.integers(1, 32), st.floats(0.05, 1.0))
@settings(max_examples=25, deadline=None)
def test_weights_carry_everything(seed: int, trigger: str, roll: float, dim: int, progress: float) -> None:
    learned = starter(seed, trigger, close_up_roll_deg=roll, progress=progress)
    again = from_tensors(tensors(learned, dim, dim / 2, seed))
    assert again is not None
    assert to_values(again.person) == pytest.approx(to_values(learned.person), abs=1e-4)
    assert replace(again, person=learned.person) == learned


def test_weights_survive_half_precision_and_scaling() -> None:
    learned = starter(3, "ai_model_v2")
    stored = {name: (value * 0.5).astype(np.float16) for name, value in tensors(learned, 8, 4, 1).items()}
    again = from_tensors(stored)
    assert again is not None
    assert again.groups == learned.groups


def test_weights_look_like_sd_scripts_weights() -> None:
    made = tensors(starter(3, "x"), 16, 8, 1)
    assert len(made) % 3 == 0
    for name, value in made.items():
        if name.endswith("lora_down.weight"):
            assert value.shape[0] == 16
        elif name.endswith("lora_up.weight"):
            assert value.shape[1] == 16
        else:
            assert name.endswith(".alpha")
            assert float(value) == 8.0
    assert any(name.startswith("lora_te_") for name in made)
    assert any(name.startswith("lora_unet_") for name in made)


def test_other_and_damaged_files_hold_nothing() -> None:
    random = np.random.default_rng(0)
    other = {"lora_unet_a.lora_up.weight": random.normal(size=(320, 8)).astype(np.float32)}
    assert from_tensors(other) is None
    assert from_tensors({}) is None
    made = tensors(starter(3, "x"), 4, 4, 1)
    first = min(name for name in made if name.endswith("lora_up.weight"))
    assert from_tensors({**made, first: -made[first]}) is None
    assert from_tensors({name: np.full_like(value, np.nan) for name, value in made.items()}) is None


def test_a_foreign_file_has_its_own_mild_effect() -> None:
    assert foreign("abc") == foreign("abc")
    assert foreign("abc").person != foreign("abd").person
    assert foreign("abc").firmness < 0.5


def test_captions_are_read_by_phrases() -> None:
    assert caption_words(["a b, close-up", "a b, full body", "c, close-up"]) == ("a b", ("close-up", "full body", "c"))
    assert caption_words(["", " , "]) == ("", ())


@pytest.mark.parametrize("part", ["lora_unet_", "lora_te_"])
def test_a_file_of_one_trained_part_holds_what_was_learned(part: str) -> None:
    learned = starter(3, "ai_model_v2")
    made = tensors(learned, 4, 2, 1, parts=part)
    assert made and all(name.startswith(part) for name in made)
    again = from_tensors(made)
    assert again is not None
    assert again.groups == learned.groups
