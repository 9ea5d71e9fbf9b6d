"""The tokenizers sd-scripts fetches from the Hugging Face hub at its first run: which they are, and which are here.

An SD1.5 checkpoint does not carry its tokenizer; without network and without these files a training ends before its
first step (observed on 48d368fa).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.kohya.install import KohyaInstall

#: Family → file of the library, pattern of the constants that name its tokenizers: v0.10 and later, then before.
_NAMED_IN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sd1": (("strategy_sd.py", r"TOKENIZER_ID"), ("train_util.py", r"TOKENIZER_PATH")),
    "sd2": (("strategy_sd.py", r"V2_STABLE_DIFFUSION_ID"), ("train_util.py", r"V2_STABLE_DIFFUSION_PATH")),
    "sdxl": (("strategy_sdxl.py", r"TOKENIZER\d_PATH"), ("sdxl_train_util.py", r"TOKENIZER\d_PATH")),
    "sd3": (("strategy_sd3.py", r"\w+_TOKENIZER_ID"),),
    "flux": (("strategy_flux.py", r"\w+_TOKENIZER_ID"),),
}
#: Either proves that a tokenizer was fetched whole: CLIP's vocabulary, T5's model, any fast one.
_FILES = ("vocab.json", "spiece.model", "tokenizer.json")


def needed(install: KohyaInstall, family: str) -> tuple[str, ...]:
    """The hub ids of the tokenizers that a training on `family` asks for, read from the install; empty where it names
    none.
    """
    for file, names in _NAMED_IN.get(family, ()):
        try:
            source = (install.root / "library" / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found = re.findall(rf"^{names}\s*=\s*[\"']([\w.-]+/[\w.-]+)[\"']", source, re.MULTILINE)
        if found:
            return tuple(dict.fromkeys(found))
    return ()


def missing(
    ids: tuple[str, ...], *, cache_dir: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Those of `ids` that are neither in `cache_dir` (sd-scripts' tokenizer_cache_dir) nor in the hub's own cache."""
    values = os.environ if environment is None else environment
    return tuple(name for name in ids if not _is_here(name, cache_dir, values))


def offline(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the hub's library is told never to use the network."""
    values = os.environ if environment is None else environment
    return any(
        values.get(name, "").strip().lower() in {"1", "true", "yes", "on"}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def _is_here(name: str, cache_dir: Path | None, values: Mapping[str, str]) -> bool:
    if cache_dir is not None and (cache_dir / name.replace("/", "_")).is_dir():
        return True
    snapshots = _hub(values) / f"models--{name.replace('/', '--')}" / "snapshots"
    return any(
        (folder / file).exists()
        for snapshot in snapshots.glob("*")
        for folder in (snapshot, snapshot / "tokenizer")  # SD2's lies in a folder of its model
        for file in _FILES
    )


def _hub(values: Mapping[str, str]) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"):
        if values.get(name):
            return Path(values[name])
    home = values.get("HF_HOME") or Path(values.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home) / "hub"
