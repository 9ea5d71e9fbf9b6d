"""What differs between the scripts of sd-scripts: names of cache files, of the base model, of a LoRA's modules.

From the source of sd-scripts 48d368fa (strategy_sd.py, strategy_sdxl.py, strategy_flux.py, sai_model_spec.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """One kind of base model.

    `size` is how much more of everything it is than SD1.5, `model_mb` what its parts take of a card in half precision.
    `several_sizes`: the latents file keeps one entry for each training size and is asked for the right one.
    `renamed`: beginnings of module names, SD1.5's → its own, in an order that keeps the sorting.
    """

    name: str
    base_version: str
    architecture: str
    implementation: str
    latents: str
    text_outputs: str = ""
    several_sizes: bool = False
    bucket_steps: int = 0
    size: float = 1.0
    model_mb: float = 2100.0
    parts: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


SD = Kind("sd", "sd_v1", "stable-diffusion-v1", "diffusers", "_sd.npz")
SDXL = Kind(
    "sdxl",
    "sdxl_base_v1-0",
    "stable-diffusion-xl-v1-base",
    "diffusers",
    "_sdxl.npz",
    text_outputs="_te_outputs.npz",
    bucket_steps=32,
    size=1.4,
    model_mb=5800.0,
    renamed={
        "lora_te_": "lora_te1_",
        "lora_unet_down_blocks_": "lora_unet_input_blocks_",
        "lora_unet_up_blocks_": "lora_unet_output_blocks_",
    },
)
FLUX = Kind(
    "flux",
    "flux1",
    "flux-1-dev",
    "https://github.com/black-forest-labs/flux",
    "_flux.npz",
    text_outputs="_flux_te.npz",
    several_sizes=True,
    bucket_steps=32,
    size=2.5,
    model_mb=23000.0,
    parts=("clip_l", "t5xxl", "ae"),
    renamed={
        "lora_te_": "lora_te1_",
        "lora_unet_down_blocks_": "lora_unet_double_blocks_",
        "lora_unet_up_blocks_": "lora_unet_single_blocks_",
    },
)
