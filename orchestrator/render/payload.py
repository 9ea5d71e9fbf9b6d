"""Our words → A1111's JSON: the one place where a recipe becomes a request."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.errors import PictureError
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server, vae_settings


def payload(recipe: Recipe, server: Server) -> dict[str, Any]:
    """The request body for `recipe`; for the first of a batch, that of the whole batch.

    Reads the init picture and the mask when there are any; raises `PictureError` when they are gone.
    """
    body: dict[str, Any] = {
        "prompt": recipe.tagged_prompt,
        "negative_prompt": recipe.negative_prompt,
        "seed": recipe.seed - recipe.batch_position,
        # Without a fixed subseed A1111 draws one at random; at strength 0 it changes no pixel, only its log.
        "subseed": 0,
        "subseed_strength": 0,
        "steps": recipe.steps,
        "cfg_scale": recipe.cfg_scale,
        "sampler_name": recipe.sampler,
        "width": recipe.width,
        "height": recipe.height,
        "batch_size": recipe.batch_size,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
        "do_not_save_grid": True,
        # Left out, these are whatever the webui's settings say: restored faces would be somebody else's.
        "restore_faces": False,
        "tiling": False,
        "override_settings": overridden(recipe, server),
        # The user's settings stay as they are. That costs nothing: A1111 swaps a checkpoint's weights only when the
        # next request asks for others. Only a VAE is loaded anew each time.
        "override_settings_restore_afterwards": True,
    }
    if recipe.scheduler and server.schedulers:
        body["scheduler"] = recipe.scheduler
    if recipe.init_sha256:
        body["init_images"] = [_file(recipe.init_path, recipe.init_sha256, "the picture to vary")]
        body["denoising_strength"] = recipe.denoising_strength
    if recipe.mask_sha256:
        body["mask"] = _file(recipe.mask_path, recipe.mask_sha256, "the mask")
        body["mask_blur"] = recipe.mask_blur
        # The whole picture is drawn and only the white part of the mask is kept: the default (draw the masked part at
        # full size and paste it) changes the framing of what is drawn.
        body["inpaint_full_res"] = False
        body["inpainting_fill"] = 1
    if recipe.alwayson_scripts:
        body["alwayson_scripts"] = json.loads(recipe.alwayson_scripts)
    return body


def settling(recipe: Recipe, server: Server) -> dict[str, Any]:
    """The request that is drawn before an img2img one, so that what it leaves behind is always the same.

    The VAE encodes the init picture with noise from a global random state that the job before has left (observed on
    1.10.1 and Forge). This tiny job has a seed of its own and the same prompt, so that no LoRA has to be swapped for
    it.
    """
    return payload(recipe.small(64, steps=1, seed=0), server)


def route(recipe: Recipe) -> str:
    """`txt2img` or `img2img`."""
    return "img2img" if recipe.init_sha256 else "txt2img"


def overridden(recipe: Recipe, server: Server) -> dict[str, Any]:
    """The options of the webui that the request for `recipe` overrides."""
    settings: dict[str, Any] = {"CLIP_stop_at_last_layers": recipe.clip_skip}
    if recipe.checkpoint:
        settings["sd_model_checkpoint"] = recipe.checkpoint
    if recipe.vae:
        settings |= vae_settings(server, recipe.vae)
    return settings | recipe.own_options


def all_overridden(recipes: Iterable[Recipe], server: Server) -> dict[str, list[Any]]:
    """The options that the requests for `recipes` override, each with the values it gets."""
    wanted: dict[str, list[Any]] = {}
    for recipe in recipes:
        for key, value in overridden(recipe, server).items():
            if value not in wanted.setdefault(key, []):
                wanted[key].append(value)
    return wanted


def _file(path: Path | None, sha256: str, what: str) -> str:
    if path is None:
        raise PictureError(what, "the recipe does not say where it lies")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(path, error.strerror or str(error)) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        # The key of what is drawn names the content that was there when it was planned.
        raise PictureError(path, "it was changed since this was planned")
    return base64.b64encode(data).decode("ascii")
