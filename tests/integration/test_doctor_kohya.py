"""What the doctor says of kohya: each finding once with what causes it, once without."""

from __future__ import annotations

import json
import os
import shutil
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from orchestrator.doctor import kohya
from orchestrator.doctor.finding import Finding
from orchestrator.profile.model import Profile
from orchestrator.sandbox import trainer_folder
from orchestrator.settings import load_settings

#: What a real install imports before anything else, and which tokenizer it fetches.
REAL = {
    "train_network.py": "import toml\nimport torch\nfrom library import train_util\n",
    "library/strategy_sd.py": 'TOKENIZER_ID = "openai/clip-vit-large-patch14"\n',
    "library/strategy_flux.py": 'CLIP_L_TOKENIZER_ID = "openai/clip-vit-large-patch14"\n'
    'T5_XXL_TOKENIZER_ID = "google/t5-v1_1-xxl"\n',
}


@pytest.fixture
def install(ugly_path: Path) -> Path:
    """The simulated trainer, asking for what a real one asks for, with an environment of its own that has all of it."""
    root = ugly_path / "sd-scripts"
    shutil.copytree(trainer_folder(), root, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in REAL.items():
        file = root / name
        file.write_text(text + (file.read_text(encoding="utf-8") if file.exists() else ""), encoding="utf-8")
    venv.create(root / "venv", with_pip=False, symlinks=sys.platform != "win32")
    for package in ("torch-2.6.0", "toml-0.10.2", "bitsandbytes-0.45.3", "xformers-0.0.29", "tensorboard-2.18.0"):
        (site(root) / f"{package}.dist-info").mkdir(parents=True)
    (site(root) / "torch").mkdir()
    (site(root) / "torch" / "version.py").write_text("cuda: Optional[str] = '12.4'\n", encoding="utf-8")
    return root


def site(root: Path) -> Path:
    windows = sys.platform == "win32"
    minor = f"python3.{sys.version_info.minor}"
    return root / "venv" / ("Lib/site-packages" if windows else f"lib/{minor}/site-packages")


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the Hugging Face hub with the tokenizer of SD1.5 in it, and no other one."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    snapshot = folder / "models--openai--clip-vit-large-patch14" / "snapshots" / "0a1b"
    snapshot.mkdir(parents=True)
    (snapshot / "vocab.json").write_text("{}", encoding="utf-8")
    return folder


def profile(base: dict[str, str] | None = None, **training: Any) -> Profile:
    groups = [{"name": "face", "folders": ["pictures"]}]
    return Profile.model_validate({"base": base or {}, "dataset": {"groups": groups}, "training": training})


def look(root: object, asked: Profile | None = None, python: object = "") -> list[Finding]:
    return list(kohya.about_kohya(load_settings(kohya_folder=str(root), kohya_python=str(python)), asked))


def one(findings: list[Finding], words: str) -> Finding:
    found = [f for f in findings if words in f.what]
    assert len(found) == 1, findings
    return found[0]


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


# --- where it is and whether it runs ----------------------------------------------------------------------------------


def test_where_all_is_well(install: Path) -> None:
    (found,) = look(install, profile())
    assert found.level == "ok"
    assert all(words in found.what for words in (str(install), "sd-scripts code-", "Python 3.", "trains SD1.5"))


def test_the_simulated_trainer_needs_nothing() -> None:
    assert levels(look(trainer_folder(), profile(), sys.executable)) == ["ok"]


def test_where_it_is_must_be_said_for_a_training() -> None:
    (found,) = kohya.about_kohya(load_settings(), profile())
    assert (found.level, found.stops) == ("blocker", ("training",))
    assert levels(list(kohya.about_kohya(load_settings(), None))) == ["optional"]


def test_a_folder_that_is_not_there_and_an_empty_submodule(ugly_path: Path) -> None:
    assert levels(look(ugly_path / "gone")) == ["blocker"]
    (ugly_path / "kohya_ss" / "sd-scripts").mkdir(parents=True)
    (found,) = look(ugly_path / "kohya_ss")
    assert "submodule update --init" in found.fix


def test_a_python_that_does_not_run(ugly_path: Path) -> None:
    broken = ugly_path / ("python.bat" if sys.platform == "win32" else "python")
    script = "@exit 3" if sys.platform == "win32" else "#!/bin/sh\necho no libpython >&2; exit 3\n"
    broken.write_text(script, encoding="utf-8")
    broken.chmod(0o755)
    (found,) = look(trainer_folder(), None, broken)
    assert (found.level, found.stops) == ("blocker", ("training",))
    assert "does not run" in found.what
    assert found.cause


def test_an_environment_made_from_a_python_that_is_gone(install: Path) -> None:
    gone = install.parent / "Python310"
    (install / "venv" / "pyvenv.cfg").write_text(f"home = {gone}\n", encoding="utf-8")
    (found,) = look(install)
    assert (found.level, str(gone) in found.cause) == ("blocker", True)


def test_an_environment_that_was_moved(install: Path) -> None:
    (install / "venv").rename(install / ".venv")
    found = one(look(install), f"was made in {install / 'venv'}")
    assert (found.level, "-m pip" in found.fix) == ("optional", True)


# --- what it lacks ----------------------------------------------------------------------------------------------------


def test_an_unfinished_setup(install: Path) -> None:
    shutil.rmtree(site(install) / "torch-2.6.0.dist-info")
    shutil.rmtree(site(install) / "torch")
    found = one(look(install, profile()), "has no torch")
    assert (found.level, found.stops) == ("blocker", ("training",))


@pytest.mark.skipif(sys.platform == "darwin", reason="there every torch is of this kind")
def test_a_torch_without_the_card(install: Path) -> None:
    (site(install) / "torch" / "version.py").write_text("cuda: Optional[str] = None\nhip = None\n", encoding="utf-8")
    assert one(look(install, profile()), "for processors").level == "warning"


def test_packages_stop_a_training_only_where_it_asks_for_them(install: Path) -> None:
    for name in ("bitsandbytes-0.45.3", "xformers-0.0.29", "tensorboard-2.18.0"):
        shutil.rmtree(site(install) / f"{name}.dist-info")
    _, extras = look(install, profile(optimizer="AdamW"))
    assert extras.level == "optional"
    assert all(name in extras.what for name in ("bitsandbytes", "xformers", "tensorboard"))
    findings = look(install, profile(optimizer="AdamW8bit", extra={"xformers": True}))
    assert one(findings, "training.optimizer: AdamW8bit needs bitsandbytes").level == "blocker"
    assert one(findings, "training.extra.xformers: xformers needs xformers").level == "blocker"
    assert one(findings, "tensorboard").level == "optional"
    assert "bitsandbytes" not in one(findings, "tensorboard").what


def test_names_this_install_does_not_know(install: Path) -> None:
    findings = look(install, profile(optimizer="AdamZ", lr_scheduler="cosin"))
    assert "Adam" in one(findings, "training.optimizer").fix
    assert "cosine" in one(findings, "training.lr_scheduler").fix


def test_the_tokenizer(install: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(hub)
    found = one(look(install, profile()), "openai/clip-vit-large-patch14")
    assert (found.level, found.stops) == ("warning", ())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = one(look(install, profile()), "openai/clip-vit-large-patch14")
    assert (found.level, found.stops) == ("blocker", ("training",))
    own = install / "tokenizers"
    (own / "openai_clip-vit-large-patch14").mkdir(parents=True)
    assert levels(look(install, profile(extra={"tokenizer_cache_dir": str(own)}))) == ["ok"]


# --- the base model ---------------------------------------------------------------------------------------------------


def checkpoint(path: Path, *names: str) -> Path:
    header = json.dumps(
        {name: {"dtype": "F16", "shape": [1], "data_offsets": [2 * n, 2 * n + 2]} for n, name in enumerate(names)}
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2 * len(names)))
    return path


def test_the_base_model_and_the_script_for_it(install: Path) -> None:
    base = checkpoint(install.parent / "xl.safetensors", "conditioner.embedders.1.x")
    fine = look(install, profile({"path": str(base)}))
    assert one(fine, "xl.safetensors, SDXL").level == "ok"
    (install / "sdxl_train_network.py").unlink(missing_ok=True)
    found = one(look(install, profile({"path": str(base)})), "has no sdxl_train_network.py")
    assert (found.level, found.stops) == ("blocker", ("training",))


def test_files_a_flux_training_lacks(install: Path) -> None:
    base = checkpoint(install.parent / "flux.safetensors", "double_blocks.0.x")
    findings = [f for f in look(install, profile({"path": str(base)})) if f.area == kohya.BASE]
    assert levels(findings) == ["blocker"] * 3
    assert [f.what.partition(":")[0] for f in findings] == ["base.clip_l", "base.t5xxl", "base.ae"]
    assert all(f.fix.startswith("Download") for f in findings)


def test_a_base_model_that_is_none(install: Path) -> None:
    found = one(look(install, profile({"path": "runwayml/stable-diffusion-v1-5"})), "Hugging Face")
    assert (found.area, found.level, found.stops) == (kohya.BASE, "blocker", ("training",))


def test_a_version_that_cannot_go_on(install: Path) -> None:
    for file in [*install.glob("*.py"), *(install / "library").glob("*.py")]:
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('"--initial_epoch"', '"--initial_lapse"'), encoding="utf-8")
    assert one(look(install, profile()), "cannot go on").level == "warning"


def test_a_real_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a checkout and a Python for it lie on this machine."""
    if not REAL_CHECKOUT or not REAL_PYTHON:
        return
    findings = look(REAL_CHECKOUT, profile(optimizer="AdamW"), REAL_PYTHON)
    assert findings[0].level == "ok"
    assert "trains SD1.5, SDXL, SD3, Flux" in findings[0].what
    assert "blocker" not in levels(findings)


# Read here: no test sees the settings of whoever runs it.
REAL_CHECKOUT = os.environ.get("ORCHESTRATOR_SD_SCRIPTS")
REAL_PYTHON = os.environ.get("ORCHESTRATOR_SD_SCRIPTS_PYTHON")
