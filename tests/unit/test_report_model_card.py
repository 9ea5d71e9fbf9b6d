"""The folder to give away: what the card and the site's data say, and what they do not make up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_worlds import equal, observe_world, spike
from PIL import Image, PngImagePlugin

from orchestrator.errors import InputError
from orchestrator.evaluation.observations import CellId, Observation
from orchestrator.evaluation.verdict import Verdict
from orchestrator.evaluation.weighing import judge
from orchestrator.files import sha256_file
from orchestrator.lora.catalog import LoraFile
from orchestrator.profile.model import VerdictPlan
from orchestrator.report.model_card import About, check_winner, choose_samples, write_package

BEST = CellId(50, 0.8)
RECORD = {
    "name": "miku_v4",
    "fingerprint": "run-fingerprint",
    "epochs": 70,
    "values": {"network_dim": 32, "network_alpha": 16, "unet_lr": 0.0001, "optimizer_type": "AdamW8bit", "seed": 7},
    "base": {"path": "/home/somebody/models/v1-5.safetensors", "sha256": "ba5e", "family": "sd1"},
    "attempts": [{"steps": [1, 700]}],
    "trainer": {"version": "0.9.1", "script": "train_network.py", "folder": "/home/somebody/kohya"},
}
DATASET = {"fingerprint": "data", "pictures": [{}] * 30, "groups": [{"name": "close-up", "count": 10, "repeats": 2}]}


@pytest.fixture
def lora(ugly_path: Path) -> LoraFile:
    path = ugly_path / "miku_v4-000050.safetensors"
    path.write_bytes(b"weights" * 100)
    return LoraFile(
        path, path.stem, sha256_file(path), 50, "s", "miku_v4", "ab12cd34ef56" + "0" * 52, 32, "v1-5", 0.0, 700
    )


@pytest.fixture
def observations(ugly_path: Path) -> list[Observation]:
    found = []
    for o in observe_world(spike):
        if o.cell == BEST:
            path = ugly_path / f"{o.round} {o.seed}.png"
            info = PngImagePlugin.PngInfo()
            info.add_text("parameters", "a prompt, Seed: 1")
            Image.new("RGB", (64, 64), (o.seed % 256, 0, 0)).save(path, pnginfo=info)
            o = replace(o, path=str(path), metrics={"identity": o.identity or 0.0})  # noqa: PLW2901
        found.append(o)
    return found


def verdict_on(observations: list[Observation], lora: LoraFile) -> Verdict:
    return replace(judge(observations, VerdictPlan()), lora_files=(lora.sha256,), fingerprint="what it was made from")


def about(observations: list[Observation], lora: LoraFile) -> About:
    verdict = verdict_on(observations, lora)
    recipes = {o.key: {"prompt": "miku, hand raised", "steps": 28, "sampler": "DPM++ 2M"} for o in observations}
    samples = choose_samples(observations, BEST, recipes)
    return About("miku", "miku_v4", lora, BEST, verdict, RECORD, DATASET, samples)


def test_the_folder_holds_the_file_the_card_and_pictures_with_their_recipes(
    observations: list[Observation], lora: LoraFile, ugly_path: Path
) -> None:
    folder = ugly_path / "published"
    card = write_package(folder, about(observations, lora)).read_text(encoding="utf-8")
    assert sha256_file(folder / "miku.safetensors") == lora.sha256
    for expected in (
        "`<lora:miku:0.8>` with `miku_v4`", "**Recommended weight**: 0.8", "**Base model**: SD 1.5 (trained on v1-5)",
        "It leads 28 cells with these", "- epoch 50 of 70, 500 steps", "- dim: 32", "30 pictures: 10 × close-up",
        lora.sha256, "run-fingerprint", "v1-5.safetensors, sha256 `ba5e`", "what it was made from",
        "trainer: train_network.py 0.9.1", "| identity | 0.9",
    ):  # fmt: skip
        assert expected in card
    assert "/home/somebody" not in card, "nobody is told where files lie"
    linked = [line.partition("](")[2].rstrip(")") for line in card.splitlines() if line.startswith("![")]
    assert len(linked) == 6
    for name in linked:
        with Image.open(folder / name) as picture:
            assert picture.info["parameters"] == "a prompt, Seed: 1"
    site = json.loads((folder / "civitai.json").read_text(encoding="utf-8"))
    assert site["baseModel"] == "SD 1.5"
    assert site["trainedWords"] == ["miku_v4"]
    assert site["settings"] == {"strength": 0.8}
    assert site["files"][0]["hashes"]["AutoV2"] == lora.sha256[:10].upper()
    assert site["files"][0]["hashes"]["AutoV3"] == "AB12CD34EF56"
    assert [image["file"] for image in site["images"]] == linked
    assert site["images"][0]["meta"]["prompt"] == "miku, hand raised"
    assert write_package(folder, about(observations, lora)).read_text(encoding="utf-8") == card


def test_samples_are_the_middle_ones_not_the_best(observations: list[Observation]) -> None:
    for sample in choose_samples(observations, BEST, {}):
        mine = [o for o in observations if o.cell == BEST and o.round == sample.round]
        scores = sorted((o.identity or 0) + (o.obedience or 0) for o in mine)
        (shown,) = [(o.identity or 0) + (o.obedience or 0) for o in mine if o.seed == sample.seed]
        assert scores[0] < shown < scores[-1]


def test_where_several_are_equal_the_card_says_so_and_by_which_rule(lora: LoraFile) -> None:
    from orchestrator.report.model_card import card_text

    verdict = judge(observe_world(equal), VerdictPlan())
    assert verdict.recommended is not None
    card = card_text(About("miku", "", lora, verdict.recommended, verdict, {}, {}))
    assert "may be best with these 8 seeds" in card
    assert "the one with the lowest weight, then the earliest epoch, is used" in card
    assert "**Trigger word**: none" in card
    assert "None" not in card


def test_no_winner_and_a_winner_that_was_trained_again_are_refused(
    observations: list[Observation], lora: LoraFile
) -> None:
    verdict = verdict_on(observations, lora)
    assert check_winner(verdict, [lora]) == (BEST, lora)
    with pytest.raises(InputError, match="no winner"):
        check_winner(judge([], VerdictPlan()), [lora])
    with pytest.raises(InputError, match="another file"):
        check_winner(replace(verdict, lora_files=("other",)), [lora])
    with pytest.raises(InputError, match="another file"):
        check_winner(verdict, [])
