"""Profile + prompt + seed → recipe."""

from __future__ import annotations

import difflib
import hashlib
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
    sampler, scheduler = server.sampler(generation.sampler, generation.scheduler)
    return Recipe(
        prompt=profile.fill(prompt),
        negative_prompt=profile.fill(generation.negative_prompt),
        loras=tuple(loras),
        seed=seed,
        steps=generation.steps,
        cfg_scale=generation.cfg_scale,
        sampler=sampler,
        scheduler=scheduler,
        width=generation.width,
        height=generation.height,
        clip_skip=generation.clip_skip,
        checkpoint_hash=server.checkpoint_hash,
        checkpoint=server.checkpoint,
        vae=server.vae,
        vae_hash=server.vae_hash,
        server_version=server.version,
        settings_hash=server.settings_hash,
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
            raise _unknown_lora(use.name, listed)
        model_hash = str(entry.metadata.get("sshs_model_hash") or "")
        shown = model_hash or _tensor_hash(Path(entry.path))
        found.append(LoraUse(entry.name, _content(entry, model_hash), shown[:12], use.weight))
    return tuple(found)


def _unknown_lora(name: str, listed: Sequence[LoraEntry]) -> InputError:
    stems = sorted(entry.name for entry in listed)
    called_so = sorted(entry.name for entry in listed if entry.alias == name)
    if called_so:
        files = ", ".join(called_so[:12])
        return InputError(
            f"{name!r} is not a LoRA file but the name inside {files}.",
            cause="All epochs of a run carry that name; A1111 may take any of them for it, or none.",
            fix=f"Name the file: {called_so[-1]}",
        )
    close = difflib.get_close_matches(name, stems, n=1, cutoff=0.5)
    other_case = next((stem for stem in stems if stem.casefold() == name.removesuffix(".safetensors").casefold()), None)
    # Deploying puts a few digits of a file's content behind its name.
    deployed = next((stem for stem in stems if name and stem.startswith(f"{name.removesuffix('.safetensors')}-")), None)
    nearest = other_case or deployed or (close[0] if close else "")
    return InputError(
        f"A1111 has no LoRA file {name!r}"
        + (f"; did you mean {nearest!r}?" if nearest else f"; it lists {', '.join(stems[:12]) or 'none at all'}."),
        cause="Names are file names without .safetensors, upper and lower case matter.",
        fix="Copy the file into models/Lora, or correct the name.",
    )


def _tensor_hash(path: Path) -> str:
    """What A1111 shows for a file that carries no hash of its own: the sha256 of everything after its header. Empty
    where the file cannot be read here.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(8 + int.from_bytes(stream.read(8), "little"))
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    except (OSError, OverflowError, ValueError):
        return ""


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
