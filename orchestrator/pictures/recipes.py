"""Profile + prompt + seed → recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.a1111.models import LoraEntry
from orchestrator.errors import InputError
from orchestrator.files import sha256_file
from orchestrator.profile.model import Profile, UsedLora
from orchestrator.render.recipe import LoraUse, Recipe
from orchestrator.render.server import Server


def make_recipe(profile: Profile, server: Server, prompt: str, seed: int, loras: Sequence[LoraUse] = ()) -> Recipe:
    """The recipe of one picture: `prompt` with its braces filled, everything else as the profile's `generation`
    says.
    """
    generation = profile.generation
    return Recipe(
        prompt=profile.fill(prompt),
        negative_prompt=profile.fill(generation.negative_prompt),
        loras=tuple(loras),
        seed=seed,
        steps=generation.steps,
        cfg_scale=generation.cfg_scale,
        sampler=generation.sampler,
        scheduler=generation.scheduler,
        width=generation.width,
        height=generation.height,
        clip_skip=generation.clip_skip,
        checkpoint_hash=server.checkpoint_hash,
        checkpoint=server.checkpoint,
        vae=server.vae,
        vae_hash=server.vae_hash,
        server_version=server.version,
    )


def find_loras(wanted: Iterable[UsedLora], listed: Sequence[LoraEntry]) -> tuple[LoraUse, ...]:
    """The LoRA files a picture set names, by content. Raises `InputError` for one that A1111 does not list.

    The content is the file's sha256 where we can read it; on another machine it is the model hash in its metadata.
    """
    by_stem = {entry.name: entry for entry in listed}
    found = []
    for use in wanted:
        entry = by_stem.get(use.name)
        if entry is None:
            names = ", ".join(sorted(by_stem)[:12]) or "none at all"
            raise InputError(
                f"A1111 has no LoRA file {use.name!r}; it lists {names}.",
                cause="Names are file names without .safetensors, upper and lower case matter.",
                fix="Copy the file into models/Lora, or correct the name in the profile.",
            )
        model_hash = str(entry.metadata.get("sshs_model_hash") or "")
        found.append(LoraUse(entry.name, _content(entry, model_hash), model_hash[:12], use.weight))
    return tuple(found)


def _content(entry: LoraEntry, model_hash: str) -> str:
    path = Path(entry.path)
    if path.is_file():
        return sha256_file(path)
    if model_hash:
        return f"model:{model_hash}"
    raise InputError(
        f"The LoRA {entry.name} lies on another machine and carries no hash: nothing would tell its pictures apart.",
        fix="Run on the machine that has the file, or use a LoRA that kohya wrote.",
    )
