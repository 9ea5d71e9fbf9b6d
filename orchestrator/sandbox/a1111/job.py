"""One generation request, resolved: what the server works with after reading the body."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from PIL import Image

from . import infotext, prompts, samplers
from .dialects import A1111, Dialect
from .extensions import Extensions
from .failures import ServerError

Kind = Literal["txt2img", "img2img"]
_RANDOM_BELOW = 4294967294
_FIELDS_OF_TEXT = {
    "Prompt": ("prompt", str),
    "Negative prompt": ("negative_prompt", str),
    "Steps": ("steps", int),
    "Sampler": ("sampler_name", str),
    "Schedule type": ("scheduler", str),
    "CFG scale": ("cfg_scale", float),
    "Seed": ("seed", int),
    "Size-1": ("width", int),
    "Size-2": ("height", int),
    "Denoising strength": ("denoising_strength", float),
    "Variation seed": ("subseed", int),
    "Variation seed strength": ("subseed_strength", float),
}


@dataclass(frozen=True)
class Job:
    """Everything that decides the pictures. `extra` is shared by all cells of a plot, as the real server shares it."""

    kind: Kind
    prompt: Any
    negative_prompt: Any
    seed: Any
    subseed: Any
    subseed_strength: float
    sampler_name: str
    scheduler: str | None
    batch_size: int
    n_iter: int
    steps: int
    cfg_scale: float
    width: Any
    height: Any
    denoising_strength: float | None
    disable_extra_networks: bool
    override_settings: dict[str, Any]
    restore_settings: bool
    save: bool
    styles: list[str]
    seed_resize: tuple[int, int]
    extra: dict[str, Any]
    images: tuple[Image.Image, ...] = ()
    mask: Image.Image | None = None
    mask_blur: int = 4
    mask_inverted: bool = False
    resize_mode: int = 0
    hires: HiresPass | None = None
    plot_cells: int = 0
    dialect: Dialect = A1111
    extensions: Extensions = field(default_factory=Extensions)


@dataclass(frozen=True)
class HiresPass:
    """txt2img's second pass at a larger size."""

    scale: float
    width: int
    height: int
    steps: int
    upscaler: str | None
    cfg_scale: float | None = None
    """Of this pass, where it has one of its own."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Pixels of the final picture; a given width or height overrules the factor."""
        if not self.width and not self.height:
            return int(width * self.scale), int(height * self.scale)
        if not self.height:
            return self.width, self.width * height // width
        if not self.width:
            return self.height * width // height, self.height
        return self.width, self.height


def fill_from_infotext(kind: Kind, fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Fields the client did not send, taken from its generation text (field `infotext`)."""
    if not fields["infotext"]:
        return fields
    read = infotext.read(fields["infotext"])
    filled = dict(fields)
    for key, (name, convert) in _FIELDS_OF_TEXT.items():
        if name not in given and key in read:
            try:
                filled[name] = convert(read[key])
            except ValueError:
                continue
    return filled


def build(kind: Kind, fields: dict[str, Any], dialect: Dialect = A1111) -> Job:
    """The job of a request's fields (pictures not decoded yet). Raises ServerError for a sampler it refuses."""
    asked = fields["sampler_name"] or fields["sampler_index"] or ""
    sampler, scheduler = samplers.choose(asked, fields.get("scheduler"), dialect)
    hires = None
    if kind == "txt2img" and fields["enable_hr"]:
        hires = HiresPass(
            fields["hr_scale"],
            fields["hr_resize_x"],
            fields["hr_resize_y"],
            fields["hr_second_pass_steps"],
            fields["hr_upscaler"],
            _second_cfg(fields, dialect),
        )
    return Job(
        kind=kind,
        prompt=fields["prompt"],
        negative_prompt=fields["negative_prompt"],
        seed=fields["seed"],
        subseed=fields["subseed"],
        subseed_strength=fields["subseed_strength"] or 0,
        sampler_name=sampler,
        scheduler=scheduler,
        batch_size=fields["batch_size"],
        n_iter=fields["n_iter"],
        steps=fields["steps"],
        cfg_scale=fields["cfg_scale"],
        width=fields["width"],
        height=fields["height"],
        denoising_strength=fields["denoising_strength"],
        disable_extra_networks=bool(fields["disable_extra_networks"]),
        override_settings=fields["override_settings"] or {},
        restore_settings=bool(fields["override_settings_restore_afterwards"]),
        save=bool(fields["save_images"]),
        styles=fields["styles"] or [],
        seed_resize=(fields["seed_resize_from_w"], fields["seed_resize_from_h"]),
        extra={},
        hires=hires,
        dialect=dialect,
    )


def _second_cfg(fields: dict[str, Any], dialect: Dialect) -> float | None:
    if not dialect.has_hr_cfg or (dialect.zero_hr_cfg_is_cfg and fields["hr_cfg"] == 0):
        return None
    return float(1.0 if fields["hr_cfg"] is None else fields["hr_cfg"])


def fixed(value: Any) -> int:
    """A seed: -1, null and "" become random. Raises the server's RuntimeError for one beyond 64 bits."""
    if value in {None, "", -1}:
        return random.randrange(_RANDOM_BELOW)
    seed = int(value)
    if not -(2**63) <= seed < 2**64:
        raise ServerError("RuntimeError", "Overflow when unpacking long")
    return seed


def check(job: Job, size_cap: int) -> None:
    """Refuse what the real server fails on, with its exception names. Raises ServerError."""
    for name in ("batch_size", "n_iter"):
        if getattr(job, name) is None:
            raise ServerError("TypeError", "'NoneType' object cannot be interpreted as an integer")
        if getattr(job, name) < 1:
            raise ServerError("IndexError", "list index out of range")
    if job.prompt is None or job.negative_prompt is None:
        raise ServerError("AssertionError")
    if job.width is None or job.height is None:
        raise ServerError("TypeError", "unsupported operand type(s) for //: 'NoneType' and 'int'")
    if job.steps is None or job.cfg_scale is None:
        raise ServerError("TypeError", "unsupported operand type(s) for +: 'NoneType' and 'int'")
    if job.steps == 0:
        raise ServerError("ZeroDivisionError", "integer division or modulo by zero")
    if job.steps < 0:
        raise ServerError("RuntimeError", f"upper bound and larger bound inconsistent with step sign: {job.steps}")
    if job.width < 8 or job.height < 8:
        shape = [job.batch_size, 4, job.height // 8, job.width // 8]
        raise ServerError("RuntimeError", f"Trying to create tensor with an empty or negative dimension: {shape}")
    width, height = final_size(job)
    if max(width, height) > size_cap:
        wanted = width * height * 3 * 4 / 2**30
        raise ServerError(
            "OutOfMemoryError", f"CUDA out of memory. Tried to allocate {wanted:.2f} GiB. GPU 0 is simulated"
        )


def final_size(job: Job) -> tuple[int, int]:
    """Pixels of the picture: floored to a multiple of 8 without a word."""
    width, height = job.width // 8 * 8, job.height // 8 * 8
    if job.hires is not None:
        width, height = job.hires.size(width, height)
        return width // 8 * 8, height // 8 * 8
    return width, height


def seeds(job: Job) -> tuple[list[int], list[int]]:
    """Seeds and subseeds of all pictures: both rise by one, except that with a subseed strength the seed
    stands still."""
    count = job.batch_size * job.n_iter
    first, sub = fixed(job.seed), fixed(job.subseed)
    strength = job.subseed_strength
    return [first + (k if strength == 0 else 0) for k in range(count)], [sub + k for k in range(count)]


def without_comments(job: Job, enabled: bool) -> tuple[str, str]:
    """Prompt and negative prompt as used."""
    if not enabled:
        return job.prompt, job.negative_prompt
    gaps = job.dialect.keeps_comment_gaps
    return prompts.strip_comments(job.prompt, gaps), prompts.strip_comments(job.negative_prompt, gaps)


def with_images(job: Job, images: tuple[Image.Image, ...], mask: Image.Image | None, fields: dict[str, Any]) -> Job:
    """An img2img job with its decoded pictures."""
    blur = fields["mask_blur"] if fields["mask_blur"] is not None else max(fields["mask_blur_x"], fields["mask_blur_y"])
    return replace(
        job,
        images=images,
        mask=mask,
        mask_blur=blur or 0,
        mask_inverted=bool(fields["inpainting_mask_invert"]),
        resize_mode=fields["resize_mode"] or 0,
    )


def noise_seed(seed: int, subseed: int, strength: float) -> int:
    """The painter's seed, 0 … 2**64-1. A strength between 0 and 1 is some third picture, not a blend of the two."""
    if strength <= 0:
        mixed = seed
    elif strength >= 1:
        mixed = subseed
    else:
        mixed = seed * 6364136223846793005 + subseed * 1442695040888963407 + round(strength * 1_000_000)
    return mixed & (2**64 - 1)
