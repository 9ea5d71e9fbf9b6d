"""Optimizers, schedulers and network modules, read from an install; the packages they need."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator.kohya import install, known
from orchestrator.kohya.install import KohyaInstall
from orchestrator.kohya.known import Known

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
# Read here: no test sees the settings of whoever runs it.
CHECKOUT = os.environ.get("ORCHESTRATOR_SD_SCRIPTS")

#: As sd-scripts writes it, shortened: names lower-cased, a family tested by its ending, an `else` inside.
TRAIN_UTIL = """
import argparse
from library.utils import x
import torch
from PIL import Image
try:
    import optional_one
except ImportError:
    pass


def get_optimizer(args, trainable_params):
    optimizer_type = args.optimizer_type.lower()
    if optimizer_type == "Lion".lower():
        try:
            import lion_pytorch
        except ImportError:
            raise
    elif optimizer_type.endswith("8bit".lower()):
        try:
            import bitsandbytes as bnb
        except ImportError:
            raise
        if optimizer_type == "AdamW8bit".lower():
            pass
        elif optimizer_type == "New8bit".lower():
            pass
    elif optimizer_type.startswith("DAdapt".lower()) or optimizer_type == "Prodigy".lower():
        if optimizer_type.startswith("DAdapt".lower()):
            try:
                import dadaptation
            except ImportError:
                raise
            if optimizer_type == "DAdaptation".lower() or optimizer_type == "DAdaptLion".lower():
                pass
        else:
            try:
                import prodigyopt
            except ImportError:
                raise
    elif optimizer_type == "AdamW".lower():
        pass


def get_scheduler_fix(args):
    name = SchedulerType(args.lr_scheduler)
    if name == SchedulerType.CONSTANT_WITH_WARMUP:
        return 1
    if name == DiffusersSchedulerType.PIECEWISE_CONSTANT.value:
        return 2


class After:
    pass
"""


@pytest.fixture
def kohya(tmp_path: Path) -> KohyaInstall:
    root = tmp_path / "sd-scripts"
    for name, text in {
        "train_network.py": "import toml\nfrom library import train_util\nimport train_util_of_mine\n",
        "train_util_of_mine.py": "",
        "library/train_util.py": TRAIN_UTIL,
        "networks/lora.py": "import torch\n\ndef create_network(x):\n    pass\n",
        "networks/resize_lora.py": "def resize():\n    pass\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    python = root / "venv" / "bin" / "python"
    optim = root / "venv" / "lib" / "python3.10" / "site-packages" / "torch" / "optim"
    optim.mkdir(parents=True)
    (optim / "__init__.py").write_text(
        "from torch.optim.adam import Adam as Adam\nfrom .newest import Newest\n"
        "from torch.optim.optimizer import Optimizer\n",
        encoding="utf-8",
    )
    python.parent.mkdir(parents=True)
    python.write_text("", encoding="utf-8")
    return install.find(root)


def test_names_are_read_where_sd_scripts_has_them(kohya: KohyaInstall) -> None:
    assert known.read(kohya) == Known(
        optimizers={
            "Lion": "lion_pytorch",
            "AdamW8bit": "bitsandbytes",
            "New8bit": "bitsandbytes",
            "Prodigy": "prodigyopt",
            "DAdaptation": "dadaptation",
            "DAdaptLion": "dadaptation",
            "AdamW": "",
        },
        torch_optimizers=("Adam", "Newest"),
        schedulers=("constant_with_warmup", "cosine", "linear", "piecewise_constant"),
        network_modules=("networks.lora",),
        imports=("PIL", "toml", "torch"),
    )


def test_what_was_read_is_kept_until_the_source_changes(kohya: KohyaInstall, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = known.read(kohya, cache)
    (kept,) = (cache / "kohya").iterdir()
    known._read.cache_clear()
    kept.write_text(kept.read_text(encoding="utf-8").replace("piecewise", "kept"), encoding="utf-8")
    assert "kept_constant" in known.read(kohya, cache).schedulers
    source = kohya.root / "library" / "train_util.py"
    source.write_text(TRAIN_UTIL.replace("New8bit", "Newer8bit"), encoding="utf-8")
    again = known.read(install.find(kohya.root), cache)
    assert again.schedulers == before.schedulers
    assert "Newer8bit" in again.optimizers


def test_an_install_that_is_written_otherwise_knows_the_usual_names() -> None:
    found = known.read(install.find(SANDBOX, python=sys.executable))
    assert (found.optimizers, found.schedulers) == (known.USUAL.optimizers, known.USUAL.schedulers)
    assert found.imports == ()
    assert found.network_modules == ("networks.lora", "networks.lora_flux")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"optimizer_type": "AdamZ"}, "optimizer_type", "Adam"),
    ({"optimizer_type": "AdamW8bits"}, "optimizer_type", "did you mean AdamW8bit?"),
    ({"optimizer_type": "rmsprop"}, "optimizer_type", "did you mean RMSprop?"),  # torch's names: case matters
    ({"optimizer_type": "?"}, "optimizer_type", "there are "),
    ({"lr_scheduler": "cosin"}, "lr_scheduler", "did you mean cosine?"),
    ({"lr_scheduler": "reduce_lr_on_plateau"}, "lr_scheduler", ""),
    ({"lr_scheduler": "adafactor:0.1", "optimizer_type": "AdamW"}, "lr_scheduler", ""),
]
RIGHT: list[dict[str, Any]] = [
    {"optimizer_type": "adamw8bit"}, {"optimizer_type": ""}, {"optimizer_type": "RMSprop"}, {"optimizer_type": 3},
    {"optimizer_type": "bitsandbytes.optim.AdEMAMix8bit"}, {"lr_scheduler": "cosine_with_restarts"},
    {"lr_scheduler": "mine", "lr_scheduler_type": "torch.optim.lr_scheduler.OneCycleLR"}, {},
    {"lr_scheduler": "any", "optimizer_type": "AdamWScheduleFree"},
    {"lr_scheduler": "adafactor:0.1", "optimizer_type": "Adafactor"}, {"network_module": "lycoris.kohya"},
]  # fmt: skip


@pytest.mark.parametrize(("values", "place", "fix"), WRONG)
def test_a_name_nobody_knows_is_found_before_the_model_is_loaded(values: dict[str, Any], place: str, fix: str) -> None:
    (problem,) = known.problems(values)
    assert problem.place == place
    assert fix in problem.fix
    assert problem.fix


@pytest.mark.parametrize("values", RIGHT)
def test_a_name_sd_scripts_takes_passes(values: dict[str, Any]) -> None:
    assert known.problems(values) == []


def test_a_network_module_must_be_there(kohya: KohyaInstall) -> None:
    names = known.read(kohya)
    (problem,) = known.problems({"network_module": "networks.lora_flux"}, names)
    assert problem.fix == "did you mean networks.lora?"
    assert known.problems({"network_module": "networks.lora"}, names) == []


NEEDS: list[tuple[dict[str, Any], str, str]] = [
    ({"optimizer_type": "PagedAdamW"}, "optimizer_type", "bitsandbytes"),
    ({"optimizer_type": "prodigy"}, "optimizer_type", "prodigyopt"),
    ({"optimizer_type": "came_pytorch.CAME"}, "optimizer_type", "came-pytorch"),
    ({"use_8bit_adam": True}, "use_8bit_adam", "bitsandbytes"),
    ({"xformers": True}, "xformers", "xformers"),
    ({"logging_dir": "x"}, "logging_dir", "tensorboard"),
    ({"logging_dir": "x", "log_with": "wandb"}, "log_with", "wandb"),
    ({"network_module": "lycoris.kohya"}, "network_module", "lycoris-lora"),
]


@pytest.mark.parametrize(("values", "place", "package"), NEEDS)
def test_a_package_that_is_needed_and_not_there(values: dict[str, Any], place: str, package: str) -> None:
    (problem,) = known.missing_packages(values, {"torch": "2.6.0"})
    assert problem.place == place
    assert package in problem.what and package in problem.fix
    assert known.missing_packages(values, {"torch": "2.6.0", package: "1"}) == []


def test_nothing_is_missing_where_nothing_is_known() -> None:
    everything = {"optimizer_type": "AdamW8bit", "xformers": True}
    assert known.missing_packages(everything, {}) == []
    assert known.missing_packages(everything, {"numpy": "1"}) == []  # its packages lie elsewhere, or it is simulated
    assert known.missing_packages({"optimizer_type": "AdamW", "sdpa": True}, {"torch": "2.6.0"}) == []


def test_what_sd_scripts_imports_itself_is_named_first(kohya: KohyaInstall) -> None:
    (found,) = known.missing_packages({}, {"pillow": "10"}, known.read(kohya))
    assert "has no toml, torch, and sd-scripts does not start without them" in found.what


def test_what_lies_beside_the_python_without_a_package_is_there(kohya: KohyaInstall) -> None:
    """Such as a checkout linked into the environment."""
    site = kohya.root / "venv" / "lib" / "python3.10" / "site-packages"
    (site / "toml").mkdir()
    (site / "prodigyopt.py").write_text("", encoding="utf-8")
    have, names = {"pillow": "10", "torch": "2.6.0"}, known.read(kohya)
    values = {"optimizer_type": "Prodigy"}
    assert len(known.missing_packages(values, have, names)) == 2
    assert known.missing_packages(values, have, names, python=kohya.python) == []


def test_a_real_checkout_names_its_own() -> None:
    """Only where a checkout lies on this machine (ORCHESTRATOR_SD_SCRIPTS)."""
    if not CHECKOUT:
        return
    found = known.read(install.find(CHECKOUT, python=sys.executable))
    assert found.optimizers == known.USUAL.optimizers
    assert found.schedulers == known.USUAL.schedulers
    assert {"torch", "accelerate", "toml"} <= set(found.imports)
    assert {"networks.lora", "networks.lora_flux", "networks.lora_sd3"} <= set(found.network_modules)
