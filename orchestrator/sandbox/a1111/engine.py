"""The simulated graphics card with its model: options, checkpoints, LoRAs, the queue, and the work on one batch after another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter, ImageOps

from . import infotext, painting, pictures, prompts, samplers
from . import job as jobs
from .checkpoints import Checkpoints
from .facts import VERSION
from .failures import ServerError
from .job import Job
from .loras import LoraShelf
from .options import Options
from .processed import Processed
from .settings import Settings
from .state import State
from .tasks import Tasks
from .turns import Queue

_CLIP_LAYERS = 12
_TEXT_ENCODER_SHARE = 0.25
"""How much of a LoRA's effect sits in the text encoder: decides what a stale conditioning spoils."""


class Engine:
    """State of one server process. Methods named `process`, `load_…` and `see_tags` need the queue to be held by the caller."""

    def __init__(self, home: Path, world: painting.World, settings: Settings) -> None:
        self.home = home
        self.world = world
        self.settings = settings
        self.queue = Queue()
        self.state = State()
        self.tasks = Tasks()
        self.options = Options(home / "config.json")
        self.checkpoints = Checkpoints(home / "models" / "Stable-diffusion")
        self.loras = LoraShelf(home / "models" / "Lora")
        self._free_since = time.monotonic()
        self._owed = 0.0
        self._conditioning: tuple[Any, list[tuple[Any, float]]] | None = None
        self._last_loras: list[tuple[str, float, float, float]] = []
        self._last_seed = 0
        self.load_chosen_checkpoint()

    def take_card(self) -> None:
        """Call first after getting the queue: the card's time is counted from here."""
        self._free_since, self._owed = time.monotonic(), 0.0

    def load_chosen_checkpoint(self) -> None:
        """Load what option sd_model_checkpoint says, if it is not loaded; the option then holds the title."""
        wanted = self.checkpoints.find(self.options.get("sd_model_checkpoint")) or self.checkpoints.first()
        if self.checkpoints.load(wanted):
            self._owed += self.settings.checkpoint_load_seconds
            self._last_loras = []
            self.options.put("sd_model_checkpoint", wanted.title)
            self.options.put("sd_checkpoint_hash", wanted.sha256)

    def change_checkpoint(self) -> None:
        """Load at once, as POST /options does; takes its simulated loading time."""
        self.take_card()
        self.load_chosen_checkpoint()
        self.state.rest(self._owed)

    def process(self, job: Job) -> Processed:
        """Paint one job, with its override_settings in force and undone afterwards. Raises ServerError."""
        overrides = dict(job.override_settings)
        before = {key: self.options.get(key) for key in overrides}
        try:
            if self.checkpoints.find(overrides.get("sd_model_checkpoint")) is None:
                overrides.pop("sd_model_checkpoint", None)
                self.load_chosen_checkpoint()
            for key, value in overrides.items():
                self.options.put(key, value)
                if key == "sd_model_checkpoint":
                    self.load_chosen_checkpoint()
            return self._process(job)
        finally:
            if job.restore_settings:
                for key in overrides.keys() & before.keys():
                    self.options.put(key, before[key])

    def _process(self, job: Job) -> Processed:
        jobs.check(job, self.settings.size_cap)
        clip_skip = self._clip_skip()
        seeds, subseeds = jobs.seeds(job)
        prompt, negative = jobs.without_comments(job, bool(self.options.get("enable_prompt_comments")))
        text, tags = prompts.split_tags(prompt)
        default_lora = self.options.get("sd_lora")
        if default_lora in self.loras.stems() and default_lora not in {tag.items[0] for tag in tags}:
            multiplier = str(self.options.get("extra_networks_default_multiplier"))
            prompt += f"<lora:{default_lora}:{multiplier}>"
            tags = (*tags, prompts.LoraTag((default_lora, multiplier)))
        if job.disable_extra_networks:
            tags = ()
        loras = self._load_loras(job, text, negative, tags)
        width, height = jobs.final_size(job)
        inits = self._inits(job, width, height)
        self._describe_extras(job)
        if self.state.job_count == -1:
            self.state.job_count = job.n_iter
        images: list[Image.Image] = []
        texts: list[str | None] = []
        for turn in range(job.n_iter):
            self.state.next_batch()
            if self.state.interrupted:
                break
            if job.n_iter > 1:
                self.state.job = f"Batch {turn + 1} out of {job.n_iter}"
            first = turn * job.batch_size
            for k, image in enumerate(self._batch(job, text, negative, loras, inits, seeds, subseeds, first)):
                line = self._text(job, prompt, negative, seeds[first + k], subseeds[first + k], clip_skip)
                if self.options.get("enable_pnginfo"):
                    image.info["parameters"] = line
                images.append(image)
                texts.append(line)
                if job.save:
                    folder = self.home / str(self.options.get(f"outdir_{job.kind}_samples"))
                    pictures.save(image, folder, "", str(seeds[first + k]))
            self.state.job_no += 1
        self._last_seed = seeds[-1]
        done = Processed(
            images=images,
            about=self.about(job),
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
        )
        self._add_grid(job, done)
        return done

    def _add_grid(self, job: Job, done: Processed) -> None:
        few = len(done.images) < 2 and bool(self.options.get("grid_only_if_multiple"))
        shown, saved = bool(self.options.get("return_grid")), bool(self.options.get("grid_save"))
        if not job.save or job.plot_cells or few or not done.images or not (shown or saved):
            return
        grid = pictures.contact_sheet(done.images)
        if self.options.get("enable_pnginfo"):
            grid.info["parameters"] = done.infotexts[0]
        if saved:
            folder = self.home / str(self.options.get(f"outdir_{job.kind}_grids"))
            pictures.save(grid, folder, "grid", "")
        if shown:
            done.infotexts.insert(0, done.infotexts[0])
            done.images.insert(0, grid)
            done.index_of_first_image = 1

    def _clip_skip(self) -> int:
        value = self.options.get("CLIP_stop_at_last_layers")
        if not isinstance(value, (int, float)):
            raise ServerError(
                "TypeError", f"'<=' not supported between instances of '{type(value).__name__}' and 'int'"
            )
        if value > _CLIP_LAYERS:
            raise ServerError("IndexError", "tuple index out of range")
        return int(value)

    def _load_loras(
        self, job: Job, text: str, negative: str, tags: tuple[prompts.LoraTag, ...]
    ) -> tuple[tuple[Any, float], ...]:
        found = self.loras.load(tags)
        now = [(one.name, one.mtime, text_weight, unet) for one, text_weight, unet in found]
        if [entry[:2] for entry in now] != [entry[:2] for entry in self._last_loras]:
            self._owed += self.settings.lora_switch_seconds
        elif now != self._last_loras:
            self._owed += self.settings.lora_weight_seconds
        self._last_loras = now
        if found and self.options.get("lora_add_hashes_to_infotext"):
            hashes = {one.name.replace(":", "").replace(",", ""): one.file.short_hash for one, _, _ in found}
            job.extra["Lora hashes"] = ", ".join(f"{name}: {digits}" for name, digits in hashes.items() if digits)
        return self._effects(job, text, negative, tags, [(one.learned, t, u) for one, t, u in found])

    def _effects(
        self,
        job: Job,
        text: str,
        negative: str,
        tags: tuple[prompts.LoraTag, ...],
        found: list[tuple[Any, float, float]],
    ) -> tuple[tuple[Any, float], ...]:
        # The conditioning of the last prompt is kept; its key knows the tags but not the files behind them. So the same prompt
        # sent again after a file appeared or changed runs with the old text encoder part.
        loaded = self.checkpoints.loaded
        key = (text, negative, job.steps, job.width, job.height, loaded and loaded.path, self._clip_skip(), tags)
        fresh = [(learned, text_weight) for learned, text_weight, _ in found]
        if self._conditioning is None or self._conditioning[0] != key:
            self._conditioning = (key, fresh)
        conditioned = self._conditioning[1]
        same = len(conditioned) == len(fresh) and all(a[0] is b[0] for a, b in zip(conditioned, fresh, strict=True))
        if same:
            effects = [(learned, unet + (t - unet) * _TEXT_ENCODER_SHARE) for learned, t, unet in found]
        else:
            effects = [(learned, unet * (1 - _TEXT_ENCODER_SHARE)) for learned, _, unet in found]
            effects += [(learned, weight * _TEXT_ENCODER_SHARE) for learned, weight in conditioned]
        return tuple((learned, weight) for learned, weight in effects if weight != 0)

    def _inits(self, job: Job, width: int, height: int) -> list[Image.Image]:
        if job.kind == "txt2img":
            return []
        if not job.images:
            raise ServerError(
                "RuntimeError", "Given groups=1, weight of size [128, 3, 3, 3], expected input of conv2d is empty"
            )
        if len(job.images) > job.batch_size:
            wrong = f"bad number of images passed: {len(job.images)}; expecting {job.batch_size} or less"
            raise ServerError("RuntimeError", wrong)
        if job.denoising_strength is None:
            raise ServerError("TypeError", "'<' not supported between instances of 'NoneType' and 'float'")
        if job.denoising_strength < 0:
            raise ServerError("IndexError", "index -1 is out of bounds for dimension 0 with size 0")
        background = str(self.options.get("img2img_background_color"))
        fitted = [pictures.fit(pictures.flatten(i, background), width, height, job.resize_mode) for i in job.images]
        return (fitted * job.batch_size)[: job.batch_size] if len(fitted) == 1 else fitted

    def _describe_extras(self, job: Job) -> None:
        if job.kind == "img2img":
            job.extra["Denoising strength"] = job.denoising_strength
        elif job.hires is not None:
            if job.hires.width or job.hires.height:
                job.extra["Hires resize"] = f"{job.hires.width}x{job.hires.height}"
            else:
                job.extra["Hires upscale"] = job.hires.scale
            if job.hires.steps:
                job.extra["Hires steps"] = job.hires.steps
            if job.hires.upscaler is not None:
                job.extra["Hires upscaler"] = job.hires.upscaler
            if job.denoising_strength is not None:
                job.extra["Denoising strength"] = job.denoising_strength

    def _batch(
        self,
        job: Job,
        text: str,
        negative: str,
        loras: tuple[tuple[Any, float], ...],
        inits: list[Image.Image],
        seeds: list[int],
        subseeds: list[int],
        first: int,
    ) -> list[Image.Image]:
        width, height = jobs.final_size(job)
        strength = 1.0 if job.denoising_strength is None else min(max(job.denoising_strength, 0.01), 1.0)
        steps = job.steps
        if inits:
            steps = int(min(strength, 0.999) * job.steps) + 1
        elif job.hires is not None:
            steps += job.hires.steps or job.steps
        painted = []
        for k in range(first, first + job.batch_size):
            order = painting.Order(
                prompt=text,
                negative_prompt=negative,
                seed=_noise_seed(seeds[k], subseeds[k], job.subseed_strength),
                steps=job.steps,
                cfg_scale=job.cfg_scale,
                sampler=samplers.find(job.sampler_name),
                schedule=samplers.schedule_type(job.sampler_name, job.scheduler),
                width=width,
                height=height,
                checkpoint=self.checkpoints.loaded.model_name if self.checkpoints.loaded else "",
                loras=loras,
                init=inits[k - first].copy() if inits else None,
                denoising_strength=strength,
            )
            image = painting.paint(order, self.world)
            if job.batch_size > 1:
                image = pictures.one_level_off(image, job.batch_size, k - first, seeds[k])
            if inits:
                image = pictures.one_level_off(image, 2, self._last_seed)
                image = _masked(job, inits[k - first], image)
            painted.append(image)
        seconds = self.settings.gpu_seconds(steps, job.batch_size) + self._owed
        share = self.state.sample(steps, seconds, self._free_since, painted[0])
        self._free_since, self._owed = time.monotonic(), 0.0
        if share < 1.0:
            painted = [pictures.half_denoised(image, share, seeds[first + k]) for k, image in enumerate(painted)]
        return painted

    def _text(self, job: Job, prompt: str, negative: str, seed: int, subseed: int, clip_skip: int) -> str:
        loaded = self.checkpoints.loaded
        varied = job.subseed_strength != 0
        resized = min(job.seed_resize) > 0
        parameters: dict[str, Any] = {
            "Steps": job.steps,
            "Sampler": job.sampler_name,
            "Schedule type": samplers.schedule_type(job.sampler_name, job.scheduler),
            "CFG scale": job.cfg_scale,
            "Seed": seed,
            "Size": f"{job.width}x{job.height}",
            "Model hash": loaded.short if loaded else None,
            "Model": loaded.model_name if loaded else None,
            "Variation seed": subseed if varied else None,
            "Variation seed strength": job.subseed_strength if varied else None,
            "Seed resize from": f"{job.seed_resize[0]}x{job.seed_resize[1]}" if resized else None,
            "Denoising strength": job.extra.get("Denoising strength"),
            "Clip skip": clip_skip if clip_skip > 1 else None,
            **job.extra,
            "Version": VERSION,
        }
        return infotext.write(prompt, negative, parameters)

    def about(self, job: Job) -> dict[str, Any]:
        """The part of `info` that is the same for all pictures."""
        loaded = self.checkpoints.loaded
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
            "seed_resize": job.seed_resize,
            "denoising_strength": job.denoising_strength,
            "styles": job.styles,
            "job_timestamp": self.state.job_timestamp,
            "clip_skip": self._clip_skip(),
        }


def _noise_seed(seed: int, subseed: int, strength: float) -> int:
    """The painter's seed, 0 … 2**64-1. A strength between 0 and 1 is some third picture, not a blend of the two."""
    if strength <= 0:
        mixed = seed
    elif strength >= 1:
        mixed = subseed
    else:
        mixed = seed * 6364136223846793005 + subseed * 1442695040888963407 + round(strength * 1_000_000)
    return mixed & (2**64 - 1)


def _masked(job: Job, init: Image.Image, painted: Image.Image) -> Image.Image:
    if job.mask is None:
        return painted
    mask = job.mask.convert("L").resize(init.size)
    if job.mask_inverted:
        mask = ImageOps.invert(mask)
    return Image.composite(painted, init, mask.filter(ImageFilter.GaussianBlur(job.mask_blur)))
