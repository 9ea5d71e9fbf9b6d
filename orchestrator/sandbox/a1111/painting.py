"""The one place where the server touches the painter: what a LoRA file holds, painting, seeing tags."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from PIL import Image

_SMALLEST_PORTRAIT = 16
World = Literal["story", "equal", "spike"]


@dataclass(frozen=True)
class Order:
    """One picture to paint."""

    prompt: str
    negative_prompt: str
    seed: int
    steps: int
    cfg_scale: float
    sampler: str
    schedule: str
    width: int
    height: int
    checkpoint: str
    loras: tuple[tuple[Any, float], ...]
    init: Image.Image | None = None
    denoising_strength: float = 1.0


def paint(order: Order, world: World) -> Image.Image:
    """The picture, the same for the same order."""
    from ..imagine import Request
    from ..imagine import paint as draw

    wanted = (order.width, order.height)
    width, height = (max(side, _SMALLEST_PORTRAIT) for side in wanted)
    values = {one.name: getattr(order, one.name) for one in fields(order)}
    image = draw(Request(**{**values, "width": width, "height": height}), world).convert("RGB")
    return image if image.size == wanted else image.resize(wanted)


def tags(image: Image.Image, seed: int) -> dict[str, float]:
    """Danbooru-like tag -> probability, from what the picture shows."""
    from ..look import tags as seen

    return seen(image.convert("RGB"), seed)


@dataclass(frozen=True)
class Weights:
    """A LoRA file's tensors, as far as a picture shows them."""

    learned: Any
    fits: bool = True
    """False: the keys are those of SD 1.5, the sizes are not."""
    finite: bool = True
    """False: there is a NaN or an infinity among them, and nothing but NaN comes of them."""


_SELF_ATTENTION = re.compile(r"^lora_unet_.*attn1_to_q\.lora_down\.weight$")
_WIDTHS = {320, 640, 1280}
"""Channels of the blocks of SD 1.5's UNet."""


def weights(path: Path) -> Weights:
    """What the LoRA file holds; a file trained elsewhere has a mild effect derived from its content.

    Raises whatever the safetensors reader raises for a broken file.
    """
    import numpy as np
    from safetensors.numpy import load

    from ..learned import foreign, from_tensors

    content = path.read_bytes()
    tensors = load(content)
    widths = {tensor.shape[1] for name, tensor in tensors.items() if _SELF_ATTENTION.match(name) and tensor.ndim > 1}
    finite = all(np.isfinite(tensor).all() for tensor in tensors.values() if tensor.dtype.kind == "f")
    found = from_tensors(tensors) if finite else None
    return Weights(found or foreign(hashlib.sha256(content).hexdigest()), widths <= _WIDTHS, finite)
