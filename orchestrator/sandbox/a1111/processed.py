"""What a finished job hands over, and the `info` text the client gets about it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from PIL import Image


@dataclass
class Processed:
    """Pictures with their texts. Lists of a plot may hold None for cells that failed, and are not all equally long."""

    images: list[Image.Image]
    about: dict[str, Any]
    all_prompts: list[str | None]
    all_negative_prompts: list[str | None]
    all_seeds: list[int | None]
    all_subseeds: list[int | None]
    infotexts: list[str | None]
    index_of_first_image: int = 0
    seed: int = -1
    subseed: int = -1
    prompt: str = ""
    negative_prompt: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    sampled: int = 0
    """Pictures really drawn: a plot may have drawn more than it hands over."""

    def info(self, version: str) -> str:
        """The JSON text of the response's `info`."""
        about = self.about
        return json.dumps(
            {
                "prompt": self.prompt,
                "all_prompts": self.all_prompts,
                "negative_prompt": self.negative_prompt,
                "all_negative_prompts": self.all_negative_prompts,
                "seed": self.seed,
                "all_seeds": self.all_seeds,
                "subseed": self.subseed,
                "all_subseeds": self.all_subseeds,
                "subseed_strength": about["subseed_strength"],
                "width": about["width"],
                "height": about["height"],
                "sampler_name": about["sampler_name"],
                "cfg_scale": about["cfg_scale"],
                "steps": about["steps"],
                "batch_size": about["batch_size"],
                "restore_faces": False,
                "face_restoration_model": None,
                "sd_model_name": about["sd_model_name"],
                "sd_model_hash": about["sd_model_hash"],
                "sd_vae_name": about["sd_vae_name"],
                "sd_vae_hash": about["sd_vae_hash"],
                "seed_resize_from_w": about["seed_resize"][0],
                "seed_resize_from_h": about["seed_resize"][1],
                "denoising_strength": about["denoising_strength"],
                "extra_generation_params": self.extra,
                "index_of_first_image": self.index_of_first_image,
                "infotexts": self.infotexts,
                "styles": about["styles"],
                "job_timestamp": about["job_timestamp"],
                "clip_skip": about["clip_skip"],
                "is_using_inpainting_conditioning": False,
                "version": version,
            }
        )
