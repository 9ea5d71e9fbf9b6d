"""The proof of a picture: what A1111 says it used, held against the recipe.

A1111 answers 200 for a LoRA it does not have, an unknown checkpoint, a misspelt sampler (observed on 1.10.1). The only
signs stand in the answer's info and infotext, so every picture is held against its recipe before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.a1111.infotext import Infotext, parse
from orchestrator.a1111.models import Generated
from orchestrator.render.names import server_version
from orchestrator.render.recipe import LoraUse, Recipe, number
from orchestrator.render.standing import changed_meanwhile

#: Digits of a LoRA's hash that A1111 shows.
SHOWN_DIGITS = 12

_Compared = list[tuple[str, object, object]]


def differences(
    recipe: Recipe, answer: Generated, default_schedule: str = "", standing: Mapping[str, Any] | None = None
) -> list[str]:
    """What differs between the recipe and the answer, each as `what: asked x, used y`; empty = proven.

    A recipe of a batch is held against its own place in it. `default_schedule` is what the recipe's sampler takes for
    "Automatic", `standing` the server's options that no request can override.
    """
    if len(answer.pictures) != recipe.batch_size:
        return [f"pictures: asked {recipe.batch_size}, got {len(answer.pictures)}"]
    info, place = answer.info, recipe.batch_position
    text = infotext_of(answer, place)
    seeds = info.all_seeds or [info.seed]
    compared: _Compared = [
        ("seed", recipe.seed, seeds[place] if place < len(seeds) else None),
        ("steps", recipe.steps, info.steps),
        ("CFG scale", number(recipe.cfg_scale), number(info.cfg_scale)),
        ("size", (recipe.width, recipe.height), (info.width, info.height)),
        ("prompt", _words(recipe.tagged_prompt), _words(info.prompt)),
        ("negative prompt", _words(recipe.negative_prompt), _words(info.negative_prompt)),
        *_sampler(recipe, info.sampler_name),
    ]
    if recipe.checkpoint_hash:
        compared.append(("checkpoint", recipe.checkpoint_hash, info.sd_model_hash))
    if recipe.server_version and info.version:
        compared.append(("server", recipe.server_version, server_version(info.version)))
    parsed = parse(text)
    compared.append(("VAE", recipe.vae_hash, used_vae(info.sd_vae_hash, parsed)))
    if info.restore_faces:
        compared.append(("restored faces", False, True))
    if info.clip_skip is not None:
        compared.append(("clip skip", recipe.clip_skip, info.clip_skip))
    if recipe.init_sha256 and recipe.denoising_strength is not None:
        compared.append(
            ("denoising strength", number(recipe.denoising_strength), number(info.denoising_strength or 0.0))
        )
    found = _told(compared + _schedule(recipe, parsed, default_schedule)) + _lora_differences(recipe, parsed)
    return found + changed_meanwhile(standing or {}, parsed)


def infotext_differences(recipe: Recipe, infotext: str, default_schedule: str = "") -> list[str]:
    """The same from the infotext alone: for a cell of the webui's own plot, which has no info of its own."""
    text = parse(infotext)
    fields = text.fields
    compared: _Compared = [
        ("seed", str(recipe.seed), fields.get("Seed")),
        ("steps", str(recipe.steps), fields.get("Steps")),
        ("CFG scale", number(recipe.cfg_scale), _number(fields.get("CFG scale"))),
        ("size", f"{recipe.width}x{recipe.height}", fields.get("Size")),
        ("prompt", _words(recipe.tagged_prompt), _words(text.prompt)),
        ("negative prompt", _words(recipe.negative_prompt), _words(text.negative_prompt)),
        ("clip skip", str(recipe.clip_skip), fields.get("Clip skip", "1")),
        *_sampler(recipe, fields.get("Sampler", "")),
    ]
    if recipe.checkpoint_hash:
        compared.append(("checkpoint", recipe.checkpoint_hash, fields.get("Model hash")))
    if recipe.server_version and "Version" in fields:
        compared.append(("server", recipe.server_version, server_version(fields["Version"])))
    compared.append(("VAE", recipe.vae_hash, used_vae(None, text)))
    if recipe.init_sha256 and recipe.denoising_strength is not None:
        used = _number(fields.get("Denoising strength"))
        compared.append(("denoising strength", number(recipe.denoising_strength), used))
    return _told(compared + _schedule(recipe, text, default_schedule)) + _lora_differences(recipe, text)


def used_vae(shown_hash: str | None, text: Infotext) -> str:
    """What names the VAE that was used: its hash, on Forge without one its module; empty = the checkpoint's own."""
    module = text.fields.get("Module 1", "")
    return shown_hash or text.fields.get("VAE hash", "") or (f"module {module}" if module else "")


def infotext_of(answer: Generated, place: int = 0) -> str:
    """The infotext of a picture of the answer; empty where there is none."""
    texts = answer.infotexts
    return (texts[place] if place < len(texts) else None) or ""


def picture_problems(recipe: Recipe, data: bytes, infotext: str = "") -> list[str]:
    """What is wrong with the picture's bytes.

    No picture, cut off, another size (a grid, say), one flat colour (what is left when sampling became NaN: forks send
    it with a 200), or the text of another picture inside.
    """
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            size, kind, inside = image.size, image.format, image.info.get("parameters")
            if kind != "PNG":
                return [f"picture: asked PNG, got {kind}"]
            if size != (recipe.width, recipe.height):
                return [f"picture: asked {recipe.width}×{recipe.height}, got {size[0]}×{size[1]}"]
            texts = sum(len(value) for value in image.info.values() if isinstance(value, str))
            if _may_be_flat(len(data) - texts, size):
                image.load()
                if all(low == high for low, high in _extrema(image)):
                    return ["picture: one flat colour, as when sampling becomes NaN"]
            else:
                # Every chunk carries a checksum: decoding all pixels would cost five times as much and prove no more.
                image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return [f"picture: cannot be read ({error})"]
    if infotext and isinstance(inside, str) and _words(inside) != _words(infotext):
        return ["picture: the text inside belongs to another picture"]
    return []


def pixels_of(data: bytes) -> bytes:
    """The picture's RGB values: two pictures may differ in their texts and be the same."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def record(
    recipe: Recipe, answer: Generated, seconds: float, *, server: str, simulated: bool, **more: Any
) -> dict[str, Any]:
    """What is kept beside a proven picture: the recipe and the server's own account of it."""
    info = answer.info
    text = infotext_of(answer, recipe.batch_position)
    return {
        "recipe": recipe.to_dict(),
        "proof": {
            "infotext": text,
            "server": server,
            "checkpoint": info.sd_model_name,
            "checkpoint_hash": info.sd_model_hash,
            "vae": info.sd_vae_name,
            "sampler": info.sampler_name,
            "lora_hashes": parse(text).lora_hashes,
            "seed": recipe.seed,
            "version": info.version,
            **more,
        },
        "simulated": simulated,
        "seconds": round(seconds, 3),
    }


def _told(compared: _Compared) -> list[str]:
    return [f"{what}: asked {asked}, used {used}" for what, asked, used in compared if asked != used]


def _words(text: str) -> str:
    # reForge leaves the blank lines of comments standing, and all of them strip the ends of infotexts.
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def _number(text: str | None) -> str | None:
    try:
        return number(float(text)) if text is not None else None
    except ValueError:
        return text


def _sampler(recipe: Recipe, used: str) -> _Compared:
    # forge-classic has no schedules: there `DPM++ 2M Karras` is a sampler of its own, and asked for by that name.
    both = f"{recipe.sampler} {recipe.scheduler}".casefold()
    if used.casefold() == both and recipe.server_version.startswith("classic"):
        return []
    return [("sampler", recipe.sampler, used)]


def _schedule(recipe: Recipe, text: Infotext, default: str) -> _Compared:
    used, asked = text.fields.get("Schedule type", ""), _schedule_name(recipe.scheduler)
    # Asked for Automatic, a sampler with a schedule of its own writes that one (DPM++ 2M: Karras), others "Automatic".
    if not used or (asked == "automatic" and _schedule_name(used) == _schedule_name(default)):
        return []
    return [("schedule", asked, _schedule_name(used))]


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
            found.append(f"LoRA {lora.stem}: asked, not used (A1111 does not have it, or cannot read it)")
        elif lora.shown_hash and used not in _hashes(lora):
            found.append(f"LoRA {lora.stem}: asked {lora.shown_hash[:SHOWN_DIGITS]}, used {used}")
    found += [f"LoRA {name}: not asked, used {used}" for name, used in shown.items()]
    return found


def _hashes(lora: LoraUse) -> set[str]:
    # Of a file that carries no hash of its own, Forge shows that of the whole file, the others that of its tensors.
    return {lora.shown_hash[:SHOWN_DIGITS], lora.sha256[:SHOWN_DIGITS]}


def _may_be_flat(size_bytes: int, size: tuple[int, int]) -> bool:
    # A flat PNG is either tiny (zlib packs it some 250 to 1000 times) or not packed at all.
    raw = 3 * size[0] * size[1]
    return size_bytes < raw / 50 + 4096 or size_bytes >= raw


def _extrema(image: Any) -> list[tuple[int, int]]:
    return [(int(low), int(high)) for low, high in image.convert("RGB").getextrema()]
