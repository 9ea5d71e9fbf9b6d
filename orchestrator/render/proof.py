"""The proof of a picture: what A1111 says it used, held against the recipe.

A1111 answers 200 for a LoRA it does not have, an unknown checkpoint, a misspelt sampler (observed on 1.10.1). The only
signs stand in the answer's info, so every picture is held against its recipe before it is kept.
"""

from __future__ import annotations

import io
from typing import Any

from orchestrator.a1111.infotext import Infotext, parse
from orchestrator.a1111.models import Generated
from orchestrator.render.recipe import Recipe, number

#: Digits of a LoRA's hash that A1111 shows.
SHOWN_DIGITS = 12


def differences(recipe: Recipe, answer: Generated, default_schedule: str = "") -> list[str]:
    """What differs between the recipe and the answer, each as `what: asked x, used y`; empty = proven.

    `default_schedule` is what the recipe's sampler takes for "Automatic".
    """
    if len(answer.pictures) != 1:
        return [f"pictures: asked 1, got {len(answer.pictures)}"]
    info = answer.info
    text = parse(next(iter(answer.infotexts), None) or "")
    seed = info.all_seeds[0] if info.all_seeds else info.seed
    asked_and_used: list[tuple[str, object, object]] = [
        ("seed", recipe.seed, seed),
        ("steps", recipe.steps, info.steps),
        ("CFG scale", number(recipe.cfg_scale), number(info.cfg_scale)),
        ("sampler", recipe.sampler, info.sampler_name),
        ("size", (recipe.width, recipe.height), (info.width, info.height)),
        ("prompt", recipe.tagged_prompt, info.prompt),
        ("negative prompt", recipe.negative_prompt, info.negative_prompt),
    ]
    if recipe.checkpoint_hash:
        asked_and_used.append(("checkpoint", recipe.checkpoint_hash, info.sd_model_hash))
    if recipe.vae or recipe.vae_hash:
        asked_and_used.append(("VAE", recipe.vae_hash, info.sd_vae_hash or ""))
    if info.restore_faces:
        asked_and_used.append(("restored faces", False, True))
    if info.clip_skip is not None:
        asked_and_used.append(("clip skip", recipe.clip_skip, info.clip_skip))
    if recipe.init_sha256 and recipe.denoising_strength is not None:
        asked_and_used.append(
            ("denoising strength", number(recipe.denoising_strength), number(info.denoising_strength or 0.0))
        )
    schedule = text.fields.get("Schedule type", "")
    asked_schedule = _schedule_name(recipe.scheduler)
    # Asked for Automatic, a sampler with a schedule of its own writes that one (DPM++ 2M: Karras), others "Automatic".
    if schedule and not (
        asked_schedule == "automatic" and _schedule_name(schedule) == _schedule_name(default_schedule)
    ):
        asked_and_used.append(("schedule", asked_schedule, _schedule_name(schedule)))
    found = [f"{what}: asked {asked}, used {used}" for what, asked, used in asked_and_used if asked != used]
    return found + _lora_differences(recipe, text)


def _schedule_name(name: str) -> str:
    # A1111 takes the name ("sgm_uniform") and the label ("SGM Uniform") and writes the label.
    return name.casefold().replace(" ", "").replace("_", "")


def _lora_differences(recipe: Recipe, text: Infotext) -> list[str]:
    shown = text.lora_hashes
    found = []
    for lora in recipe.loras:
        # A1111 takes commas and colons out of the name it writes here.
        used = shown.pop(lora.stem.replace(":", "").replace(",", ""), None)
        if used is None:
            found.append(f"LoRA {lora.stem}: asked, not used (A1111 does not have it)")
        elif lora.shown_hash and used != lora.shown_hash[:SHOWN_DIGITS]:
            found.append(f"LoRA {lora.stem}: asked {lora.shown_hash[:SHOWN_DIGITS]}, used {used}")
    found += [f"LoRA {name}: not asked, used {used}" for name, used in shown.items()]
    return found


def picture_problems(recipe: Recipe, data: bytes) -> list[str]:
    """What is wrong with the pixels: no picture, another size, all black (what A1111 sends where sampling broke)."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format != "PNG":
                return [f"picture: asked PNG, got {image.format}"]
            if image.size != (recipe.width, recipe.height):
                return [f"picture: asked {recipe.width}×{recipe.height}, got {image.width}×{image.height}"]
            bright = image.convert("L").getextrema()[1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return [f"picture: cannot be read ({error})"]
    return ["picture: all black"] if bright == 0 else []


def record(recipe: Recipe, answer: Generated, seconds: float, *, simulated: bool) -> dict[str, Any]:
    """What is kept beside a proven picture: the recipe and the server's own account of it."""
    info = answer.info
    return {
        "recipe": recipe.to_dict(),
        "proof": {
            "infotext": next(iter(answer.infotexts), None) or "",
            "checkpoint": info.sd_model_name,
            "checkpoint_hash": info.sd_model_hash,
            "vae": info.sd_vae_name,
            "sampler": info.sampler_name,
            "lora_hashes": parse(next(iter(answer.infotexts), None) or "").lora_hashes,
            "seed": info.all_seeds[0] if info.all_seeds else info.seed,
            "version": info.version,
        },
        "simulated": simulated,
        "seconds": round(seconds, 3),
    }
