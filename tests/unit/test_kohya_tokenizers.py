"""Which tokenizers an install fetches, and which of them are on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from orchestrator.kohya import install, tokenizers
from orchestrator.kohya.install import KohyaInstall

CHECKOUT = os.environ.get("ORCHESTRATOR_SD_SCRIPTS")
CLIP, BIG, T5, V2 = (
    "openai/clip-vit-large-patch14",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    "google/t5-v1_1-xxl",
    "stabilityai/stable-diffusion-2",
)
NOW = {
    "strategy_sd.py": f'TOKENIZER_ID = "{CLIP}"\nV2_STABLE_DIFFUSION_ID = "{V2}"  # comment\n',
    "strategy_sdxl.py": f'TOKENIZER1_PATH = "{CLIP}"\nTOKENIZER2_PATH = "{BIG}"\n',
    "strategy_flux.py": f'CLIP_L_TOKENIZER_ID = "{CLIP}"\nT5_XXL_TOKENIZER_ID = "{T5}"\n',
}
BEFORE = {
    "train_util.py": f'TOKENIZER_PATH = "{CLIP}"\nV2_STABLE_DIFFUSION_PATH = "{V2}"\n',
    "sdxl_train_util.py": f'TOKENIZER1_PATH = "{CLIP}"\nTOKENIZER2_PATH = "{BIG}"\n',
}


def _install(root: Path, files: dict[str, str]) -> KohyaInstall:
    (root / "library").mkdir(parents=True)
    (root / "train_network.py").write_text("", encoding="utf-8")
    for name, text in files.items():
        (root / "library" / name).write_text(text, encoding="utf-8")
    return install.find(root, python=sys.executable)


@pytest.mark.parametrize("files", [NOW, BEFORE])
def test_each_family_needs_its_own(tmp_path: Path, files: dict[str, str]) -> None:
    kohya = _install(tmp_path, files)
    assert tokenizers.needed(kohya, "sd1") == (CLIP,)
    assert tokenizers.needed(kohya, "sd2") == (V2,)
    assert tokenizers.needed(kohya, "sdxl") == (CLIP, BIG)
    assert tokenizers.needed(kohya, "flux") == ((CLIP, T5) if files is NOW else ())


def test_they_lie_in_the_cache_of_sd_scripts_or_of_the_hub(ugly_path: Path) -> None:
    all_of_them = (CLIP, BIG, T5, V2)
    places = {
        "HF_HUB_CACHE": ugly_path / "hub",
        "HF_HOME": ugly_path / "home",
        "XDG_CACHE_HOME": ugly_path / "xdg",
    }
    hubs = {"HF_HUB_CACHE": "hub", "HF_HOME": "home/hub", "XDG_CACHE_HOME": "xdg/huggingface/hub"}
    for variable, path in places.items():
        environment = {variable: str(path)}
        assert tokenizers.missing(all_of_them, environment=environment) == all_of_them
        for name, file in ((CLIP, "vocab.json"), (T5, "spiece.model"), (V2, "tokenizer/vocab.json")):
            folder = ugly_path / hubs[variable] / f"models--{name.replace('/', '--')}" / "snapshots" / "0a1b"
            (folder / file).parent.mkdir(parents=True)
            (folder / file).write_text("{}", encoding="utf-8")
        assert tokenizers.missing(all_of_them, environment=environment) == (BIG,)
        own = ugly_path / "own"
        (own / "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k").mkdir(parents=True, exist_ok=True)
        assert tokenizers.missing(all_of_them, cache_dir=own, environment=environment) == ()


def test_a_download_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "models--openai--clip-vit-large-patch14" / "snapshots" / "0a1b").mkdir(parents=True)
    assert tokenizers.missing((CLIP,), environment={"HF_HUB_CACHE": str(tmp_path)}) == (CLIP,)


@pytest.mark.parametrize(("value", "off"), [("1", True), ("TRUE", True), ("0", False), ("", False)])
def test_whether_the_network_is_forbidden(value: str, off: bool) -> None:
    assert tokenizers.offline({"HF_HUB_OFFLINE": value}) is off
    assert tokenizers.offline({"TRANSFORMERS_OFFLINE": value}) is off
    assert not tokenizers.offline({})


def test_a_real_checkout_names_its_own() -> None:
    """Only where a checkout lies on this machine (ORCHESTRATOR_SD_SCRIPTS)."""
    if CHECKOUT:
        kohya = install.find(CHECKOUT, python=sys.executable)
        assert tokenizers.needed(kohya, "sd3") == (CLIP, BIG, T5)
        assert tokenizers.needed(kohya, "flux") == (CLIP, T5)
        assert tokenizers.needed(kohya, "sd1") == (CLIP,)
