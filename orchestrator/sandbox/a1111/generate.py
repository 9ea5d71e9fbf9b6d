"""One job from its prompt to its pictures, as the real server's processing loop goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageFilter, ImageOps

from . import job as jobs
from . import painting, parameters, pictures, prompts, samplers
from .conditioning import Effects
from .dialects import A1111
from .failures import NAN, ServerError
from .job import Job
from .processed import Processed

if TYPE_CHECKING:
    from .engine import Engine


def run(engine: Engine, job: Job) -> Processed:
    """Paint all batches of a job. Raises ServerError where the real server fails; interrupted jobs end early."""
    jobs.check(job, engine.settings.size_cap)
    clip_skip = parameters.clip_skip(engine)
    seeds, subseeds = jobs.seeds(job)
    prompt, negative = jobs.without_comments(job, bool(engine.options.get("enable_prompt_comments")))
    text, tags = prompts.split_tags(prompt)
    default = _default_lora(engine, tags)
    if default is not None:
        prompt, tags = prompt + f"<lora:{':'.join(default.items)}>", (*tags, default)
    loaded = engine.checkpoints.loaded
    key = (text, negative, job.steps, job.width, job.height, loaded and loaded.path, clip_skip)
    loras, hashes, broken = engine.conditioning.loras(() if job.disable_extra_networks else tags, key)
    if broken and not job.dialect.nan_is_black:
        raise ServerError("NansException", NAN)
    if hashes and engine.options.get("lora_add_hashes_to_infotext"):
        job.extra["Lora hashes"] = ", ".join(f"{name}: {digits}" for name, digits in hashes.items())
    inits = _inits(engine, job)
    parameters.describe(engine, job, (text, negative))
    state = engine.state
    if state.job_count == -1:
        state.job_count = job.n_iter
    images: list[Image.Image] = []
    texts: list[str | None] = []
    for turn in range(job.n_iter):
        state.next_batch()
        if state.interrupted:
            break
        if job.n_iter > 1:
            state.job = f"Batch {turn + 1} out of {job.n_iter}"
        some = slice(turn * job.batch_size, (turn + 1) * job.batch_size)
        pairs = list(zip(seeds[some], subseeds[some], strict=True))
        painted = _batch(engine, job, (text, negative), loras, inits, pairs)
        if broken:
            painted = [Image.new("RGB", image.size) for image in painted]
        for image, (seed, subseed) in zip(painted, pairs, strict=True):
            line = parameters.text(engine, job, (prompt, negative), seed, subseed)
            _keep(engine, job, image, line, seed)
            images.append(image)
            texts.append(line)
        state.job_no += 1
    engine.last_seed = seeds[-1]
    done = Processed(
        images=images,
        about=parameters.about(engine, job),
        all_prompts=[prompt] * len(seeds),
        all_negative_prompts=[negative] * len(seeds),
        all_seeds=list(seeds),
        all_subseeds=list(subseeds),
        infotexts=texts,
        seed=seeds[0],
        subseed=subseeds[0],
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        extra=job.extra,
        sampled=len(images),
    )
    _add_grid(engine, job, done)
    done.images += job.extensions.shown(jobs.final_size(job))
    return done


def _default_lora(engine: Engine, tags: tuple[prompts.LoraTag, ...]) -> prompts.LoraTag | None:
    """Option sd_lora adds a LoRA to every prompt that does not name it."""
    name = engine.options.get("sd_lora")
    if name not in engine.loras.stems() or name in {tag.items[0] for tag in tags}:
        return None
    return prompts.LoraTag((name, str(engine.options.get("extra_networks_default_multiplier"))))


def _inits(engine: Engine, job: Job) -> list[Image.Image]:
    """One fitted init picture per picture of a batch; none for txt2img."""
    if job.kind == "txt2img":
        return []
    if not job.images:
        raise ServerError("RuntimeError", "Given groups=1, expected 4D input to conv2d, but got input of size [0]")
    if len(job.images) not in {1, job.batch_size}:
        wrong = f"bad number of images passed: {len(job.images)}; expecting {job.batch_size} or less"
        raise ServerError("RuntimeError", wrong)
    if job.denoising_strength is None:
        raise ServerError("TypeError", "'<' not supported between instances of 'NoneType' and 'float'")
    if job.denoising_strength < 0:
        raise ServerError("IndexError", "index -1 is out of bounds for dimension 0 with size 0")
    background = str(engine.options.get("img2img_background_color"))
    size = jobs.final_size(job)
    fitted = [pictures.fit(pictures.flatten(image, background), *size, job.resize_mode) for image in job.images]
    return fitted * job.batch_size if len(fitted) == 1 else fitted


def _batch(
    engine: Engine,
    job: Job,
    texts: tuple[str, str],
    loras: Effects,
    inits: list[Image.Image],
    seeds: list[tuple[int, int]],
) -> list[Image.Image]:
    width, height = jobs.final_size(job)
    strength = 1.0 if job.denoising_strength is None else min(max(job.denoising_strength, 0.01), 1.0)
    steps = job.steps
    if inits:
        steps = int(min(strength, 0.999) * job.steps) + 1
    elif job.hires is not None:
        steps += job.hires.steps or job.steps
    loaded, vae = engine.checkpoints.loaded, engine.vae()
    cfg = job.cfg_scale if job.hires is None or job.hires.cfg_scale is None else job.hires.cfg_scale
    sampler = samplers.find(job.sampler_name, job.dialect)
    if job.dialect is not A1111:
        sampler += f" of {job.dialect.name}"  # every fork draws the same seed a little differently
        texts = (texts[0], "" if cfg == 1 else texts[1])
    painted: list[Image.Image] = []
    for k, (seed, subseed) in enumerate(seeds):
        order = painting.Order(
            prompt=texts[0],
            negative_prompt=texts[1],
            seed=jobs.noise_seed(seed, subseed, job.subseed_strength),
            steps=job.steps,
            cfg_scale=cfg,
            sampler=sampler,
            schedule=samplers.schedule_type(job.sampler_name, job.scheduler, job.dialect),
            width=width,
            height=height,
            checkpoint=loaded.model_name if loaded else "",
            loras=loras,
            init=inits[k] if inits else None,
            denoising_strength=strength,
        )
        if engine.plain is not None:
            context = (job.batch_size, k if job.batch_size > 1 else 0, inits and _noise_before(engine, job), vae)
            painted.append(job.extensions.rework(engine.plain.paint(order, *context)))
            continue
        image = painting.paint(order, engine.world)
        if job.batch_size > 1:
            image = pictures.one_level_off(image, job.batch_size, k, seed)
        if inits:
            image = _masked(job, inits[k], pictures.one_level_off(image, _noise_before(engine, job)))
        image = job.extensions.rework(image if vae is None else vae.tint(image))
        painted.append(image)
    share = engine.card.sample(steps, painted)
    if share < 1.0:
        return [pictures.half_denoised(i, share, seed) for i, (seed, _) in zip(painted, seeds, strict=True)]
    return painted


def _noise_before(engine: Engine, job: Job) -> int:
    """What img2img's noise hangs on besides its own seed."""
    return engine.last_seed if job.dialect.img2img_depends else 0


def _masked(job: Job, init: Image.Image, painted: Image.Image) -> Image.Image:
    if job.mask is None:
        return painted
    mask = job.mask.convert("L").resize(init.size)
    if job.mask_inverted:
        mask = ImageOps.invert(mask)
    return Image.composite(painted, init, mask.filter(ImageFilter.GaussianBlur(job.mask_blur)))


def _keep(engine: Engine, job: Job, image: Image.Image, line: str, seed: int) -> None:
    if engine.options.get("enable_pnginfo"):
        image.info["parameters"] = line
    if job.save:
        pictures.save(image, engine.home / str(engine.options.get(f"outdir_{job.kind}_samples")), "", str(seed))


def _add_grid(engine: Engine, job: Job, done: Processed) -> None:
    """With save_images and more than one picture the grid comes first, but only in `images` and `infotexts`."""
    few = len(done.images) < 2 and bool(engine.options.get("grid_only_if_multiple"))
    shown, saved = bool(engine.options.get("return_grid")), bool(engine.options.get("grid_save"))
    if not job.save or job.plot_cells or few or not done.images or not (shown or saved):
        return
    grid = pictures.contact_sheet(done.images)
    if engine.options.get("enable_pnginfo"):
        grid.info["parameters"] = done.infotexts[0]
    if saved:
        pictures.save(grid, engine.home / str(engine.options.get(f"outdir_{job.kind}_grids")), "grid", "")
    if shown:
        done.infotexts.insert(0, done.infotexts[0])
        done.images.insert(0, grid)
        done.index_of_first_image = 1
