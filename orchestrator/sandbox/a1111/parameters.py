"""What a server says about a job: the generation text under each picture, and the shared part of `info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import infotext, samplers
from .failures import ServerError
from .job import Job

if TYPE_CHECKING:
    from .engine import Engine

_CLIP_LAYERS = 12


def about(engine: Engine, job: Job) -> dict[str, Any]:
    """The part of `info` that is the same for all pictures."""
    loaded, vae = engine.checkpoints.loaded, engine.vae()
    return {
        "subseed_strength": job.subseed_strength,
        "width": job.width,
        "height": job.height,
        "sampler_name": job.sampler_name,
        "cfg_scale": job.cfg_scale,
        "steps": job.steps,
        "batch_size": job.batch_size,
        "sd_model_name": loaded.model_name if loaded else None,
        "sd_model_hash": loaded.short if loaded else None,
        "sd_vae_name": vae.name if vae else None,
        "sd_vae_hash": vae.short if vae else None,
        "seed_resize": job.seed_resize,
        "denoising_strength": job.denoising_strength,
        "styles": job.styles,
        "job_timestamp": engine.state.job_timestamp,
        "clip_skip": clip_skip(engine),
    }


def clip_skip(engine: Engine) -> int:
    """The option's value. Raises the server's TypeError or IndexError for one it cannot work with."""
    value = engine.options.get("CLIP_stop_at_last_layers")
    if not isinstance(value, (int, float)):
        kind = type(value).__name__
        raise ServerError("TypeError", f"'<=' not supported between instances of '{kind}' and 'int'")
    if value > _CLIP_LAYERS:
        raise ServerError("IndexError", "tuple index out of range")
    return int(value)


def describe(engine: Engine, job: Job, texts: tuple[str, str]) -> None:
    """Enter into `job.extra` what only some jobs have."""
    for number, module in enumerate(engine.modules(), 1):
        job.extra[f"Module {number}"] = module.path.stem
    if job.denoising_strength is not None and (job.kind == "img2img" or job.hires is not None):
        job.extra["Denoising strength"] = job.denoising_strength
    if job.hires is not None:
        if job.hires.width or job.hires.height:
            job.extra["Hires resize"] = f"{job.hires.width}x{job.hires.height}"
        else:
            job.extra["Hires upscale"] = job.hires.scale
        if job.hires.steps:
            job.extra["Hires steps"] = job.hires.steps
        if job.hires.upscaler is not None:
            job.extra["Hires upscaler"] = job.hires.upscaler
    embeddings = engine.embeddings.hashes(texts)
    if embeddings is not None:
        job.extra["TI hashes"] = embeddings
    job.extra.update(job.extensions.texts)


def text(engine: Engine, job: Job, texts: tuple[str, str], seed: int, subseed: int) -> str:
    """The generation text of one picture."""
    loaded, vae, option = engine.checkpoints.loaded, engine.vae(), engine.options.get
    varied, skipped = job.subseed_strength != 0, clip_skip(engine)
    resized = min(value or 0 for value in job.seed_resize) > 0
    schedule = samplers.schedule_type(job.sampler_name, job.scheduler, job.dialect)
    low_bits = option("forge_unet_storage_dtype")
    parameters: dict[str, Any] = {
        "Steps": job.steps,
        "Sampler": job.sampler_name,
        "Schedule type": schedule if job.dialect.has_schedulers else None,
        "CFG scale": job.cfg_scale,
        "Seed": seed,
        "Size": f"{job.width}x{job.height}",
        "Model hash": loaded.short if loaded and option("add_model_hash_to_info") else None,
        "Model": loaded.model_name if loaded and option("add_model_name_to_info") else None,
        "VAE hash": vae.short if vae and option("add_vae_hash_to_info") else None,
        "VAE": vae.name if vae and option("add_vae_name_to_info") else None,
        "Variation seed": subseed if varied else None,
        "Variation seed strength": job.subseed_strength if varied else None,
        "Seed resize from": f"{job.seed_resize[0]}x{job.seed_resize[1]}" if resized else None,
        "Denoising strength": job.extra.get("Denoising strength"),
        "Clip skip": skipped if skipped > 1 else None,
        "ENSD": (option("eta_noise_seed_delta") or None) if "SDE" in job.sampler_name else None,
        "Token merging ratio": option("token_merging_ratio") or None,
        "RNG": option("randn_source") if option("randn_source") != "GPU" else None,
        **job.extra,
        "Version": job.dialect.version if option("add_version_to_infotext") else None,
        "Diffusion in Low Bits": low_bits if low_bits not in {None, "Automatic"} else None,
    }
    return infotext.write(*texts, parameters)
