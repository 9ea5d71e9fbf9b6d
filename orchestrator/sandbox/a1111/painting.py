"""The one place where the server touches the painter: what a LoRA file holds, painting, seeing tags."""

from __future__ import annotations

import hashlib
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


def learned(path: Path) -> Any:
    """What the LoRA file holds; a file trained elsewhere has a mild effect derived from its content.

    Raises whatever the safetensors reader raises for a broken file.
    """
    from safetensors.numpy import load

    from ..learned import foreign, from_tensors

    content = path.read_bytes()
    found = from_tensors(load(content))
    return found if found is not None else foreign(hashlib.sha256(content).hexdigest())
