"""The folder a simulated server lives in: models, outputs, and a LoRA to begin with."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .a1111 import disk

if TYPE_CHECKING:
    from .a1111.painting import World

STARTER_LORA = "ai_model_v2-000040"
CHECKPOINTS = ("sandbox-v1-5", "sandbox-other")
VAES = ("sandbox-warm", "sandbox-cool")
EMBEDDING = "sandbox-negative"
_STARTER_PERSON = 20260
_DIM, _ALPHA = 8, 4.0


def make_home(folder: Path, world: World = "story") -> Path:
    """Make (or complete) a sandbox home and return it; files that are there already are left alone.

    Holds `models/Lora/ai_model_v2-000040.safetensors`, `models/Stable-diffusion/sandbox-v1-5.safetensors` and
    `sandbox-other.safetensors` (a few kB each), two files in `models/VAE/`, one in `embeddings/`, `outputs/` and a
    config.json that chooses the first checkpoint.
    Each world has checkpoints of its own content, so that whoever keeps pictures by the checkpoint's hash never takes a
    picture of one world for another's.

    Raises:
        OSError: the folder cannot be written.
    """
    loras, models = folder / "models" / "Lora", folder / "models" / "Stable-diffusion"
    for part in (loras, models, folder / "outputs"):
        part.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(CHECKPOINTS):
        path = models / f"{name}.safetensors"
        if not path.exists():
            disk.write_whole(path, _checkpoint(name, number, world))
    for number, name in enumerate(VAES):
        path = folder / "models" / "VAE" / f"{name}.safetensors"
        if not path.exists():
            disk.write_whole(path, _noise("first_stage_model.decoder.conv_in.weight", (16, 16), 2000 + number, name))
    embedding = folder / "embeddings" / f"{EMBEDDING}.safetensors"
    if not embedding.exists():
        disk.write_whole(embedding, _noise("emb_params", (2, 768), 3000, EMBEDDING))
    starter = loras / f"{STARTER_LORA}.safetensors"
    if not starter.exists():
        disk.write_whole(starter, _starter_lora())
    config = folder / "config.json"
    if not config.exists():
        chosen = {"sd_model_checkpoint": f"{CHECKPOINTS[0]}.safetensors"}
        disk.write_whole(config, json.dumps(chosen, indent=4).encode())
    return folder


def _checkpoint(name: str, number: int, world: World) -> bytes:
    return _noise("model.diffusion_model.input_blocks.0.0.weight", (24, 24), [1000 + number, *world.encode()], name)


def _noise(key: str, shape: tuple[int, int], seed: int | list[int], name: str) -> bytes:
    import numpy as np
    from safetensors.numpy import save

    noise = np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float16)
    # One key: safetensors writes several in an order of its own each time, and the file's hash would change with it.
    return save({key: noise}, {"modelspec.title": f"{name} (simulated)"})


def _starter_lora() -> bytes:
    """A file as sd-scripts would have saved it: epoch 40 of a version 2 whose close-ups are all tilted one way."""
    from safetensors.numpy import save

    from . import learned

    trained = learned.starter(_STARTER_PERSON, "ai_model_v2")
    metadata: dict[str, str] = {
        "ss_sd_model_name": f"{CHECKPOINTS[0]}.safetensors",
        "ss_base_model_version": "sd_v1",
        "ss_output_name": "ai_model_v2",
        "ss_epoch": "40",
        "ss_num_epochs": "50",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(_DIM),
        "ss_network_alpha": str(_ALPHA),
        "ss_learning_rate": "0.0001",
        "ss_seed": "1234",
        "ss_session_id": "2026000002",
        "ss_v2": "False",
        "ss_num_train_images": "23",
        "ss_tag_frequency": json.dumps(
            {"10_ai_model_v2": {"ai_model_v2": 23, "close-up": 10, "upper body": 8, "full body": 5}}
        ),
        "simulated": "true",
    }
    content = save(learned.tensors(trained, _DIM, _ALPHA, 1234), metadata)
    weights = content[8 + struct.unpack("<Q", content[:8])[0] :]
    digest = hashlib.sha256(weights).hexdigest()
    return _with_metadata(content, {**metadata, "sshs_model_hash": digest, "sshs_legacy_hash": digest[:8]})


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """The same tensors under another header, byte for byte, so that their hash stays true."""
    size = struct.unpack("<Q", content[:8])[0]
    header: dict[str, Any] = json.loads(content[8 : 8 + size])
    header["__metadata__"] = metadata
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + content[8 + size :]
