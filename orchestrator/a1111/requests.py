"""Requests that draw, in A1111's own words, checked before anything is sent.

A1111 ignores a misspelt field in silence, takes 0×0 for an error of its own, and is busy for minutes with
100000×100000. So a request with an unknown field or a value out of range is refused here, with every problem at once.

    Txt2Img(prompt="a lighthouse", steps=20, seed=1)

What is not given is not sent: A1111's own default, named here, then holds (observed on 1.10.1). Fields of forks and
extensions go under `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orchestrator.a1111.pictures import Encoded
from orchestrator.a1111.refusal import refusal
from orchestrator.a1111.request_fields import (
    MAX_BATCH_SIZE,
    MAX_CFG,
    MAX_ITERATIONS,
    MAX_PIXELS,
    MAX_SEED,
    MAX_SIDE,
    MAX_STEPS,
    MAX_UPSCALED_PIXELS,
    MIN_SIDE,
    SIDE_STEP,
    Arguments,
    Name,
    Picture,
    Prompt,
    Seed,
    Sendable,
    Share,
    Side,
)
from orchestrator.errors import InputError

Request = TypeVar("Request", bound="_Request")


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    #: Fields of forks and extensions, sent as they are.
    extra: Sendable = Field(default_factory=dict)

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        known = sorted(set(value) & set(cls.model_fields))
        if known:
            raise ValueError(f"{', '.join(known)} is checked where it stands on its own, not under `extra`")
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _problems_in_words(cls, values: Any, handler: ModelWrapValidatorHandler[Request]) -> Request:
        try:
            return handler(values)
        except ValidationError as error:
            raise refusal(cls, error) from None

    def body(self) -> dict[str, Any]:
        """What is sent: the fields that were given, pictures as base64."""
        given = {name: _plain(getattr(self, name)) for name in self.model_fields_set if name != "extra"}
        return {**given, **self.extra}


class _Drawing(_Request):
    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    styles: list[str] | None = None
    seed: Seed = -1
    subseed: Seed = -1
    subseed_strength: Share = 0.0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: Name = None
    scheduler: Name = None
    batch_size: int = Field(1, ge=1, le=MAX_BATCH_SIZE, description="1 to 64 pictures at once")
    n_iter: int = Field(
        1, ge=1, le=MAX_ITERATIONS, description="1 to 100 batches, one after the other", validate_default=True
    )
    steps: int = Field(50, ge=1, le=MAX_STEPS, description="1 to 150 steps")
    cfg_scale: float = Field(7.0, ge=0, le=MAX_CFG, description="0 to 30")
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = None
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    #: Options for this request alone. A1111 does not put one back that is not in its config.json yet.
    override_settings: Sendable | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Name = None
    refiner_switch_at: Share | None = None
    disable_extra_networks: bool = False
    firstpass_image: Name = None
    comments: Sendable | None = None
    force_task_id: Name = None
    sampler_index: str = "Euler"
    script_name: Name = None
    script_args: Arguments = Field(default_factory=list)
    send_images: bool = True
    save_images: bool = False
    #: ADetailer, ControlNet …: script name → {"args": […]}, passed through.
    alwayson_scripts: Sendable = Field(default_factory=dict)
    #: An infotext; A1111 takes from it every field that is not given.
    infotext: Name = None

    @field_validator("n_iter")
    @classmethod
    def _last_seed(cls, value: int, info: ValidationInfo) -> int:
        last = info.data.get("seed", 0) + value * info.data.get("batch_size", 1) - 1
        if last > MAX_SEED:
            raise ValueError("the last picture's seed would be above 2**63-1")
        return value


class Txt2Img(_Drawing):
    """A request to /sdapi/v1/txt2img. Raises `InputError` with every problem at once."""

    width: Side = 512
    height: Side = Field(512, validate_default=True)
    denoising_strength: Share | None = None
    firstphase_width: int = Field(0, ge=0, le=MAX_SIDE)
    firstphase_height: int = Field(0, ge=0, le=MAX_SIDE)
    hr_scale: float = Field(2.0, ge=1, le=8, description="1 to 8 times the size")
    hr_upscaler: Name = None
    hr_second_pass_steps: int = Field(0, ge=0, le=MAX_STEPS, description="0 (as many as steps) to 150")
    hr_resize_x: int = Field(0, ge=0, le=2 * MAX_SIDE, description="0 (by hr_scale) to 8192 pixels")
    hr_resize_y: int = Field(0, ge=0, le=2 * MAX_SIDE, description="0 (by hr_scale) to 8192 pixels")
    hr_checkpoint_name: Name = None
    hr_sampler_name: Name = None
    hr_scheduler: Name = None
    hr_prompt: Prompt = ""
    hr_negative_prompt: Prompt = ""
    #: The second pass's CFG on Forge and reForge, whose default of 1 hardly heeds the prompt: sent there as
    #: `cfg_scale` unless it is given.
    hr_cfg: float = Field(1.0, ge=0, le=MAX_CFG, description="0 to 30")
    enable_hr: bool = False

    @field_validator("height")
    @classmethod
    def _area(cls, value: int, info: ValidationInfo) -> int:
        _check_area(info.data.get("width", 0), value)
        return value

    @field_validator("enable_hr")
    @classmethod
    def _enlarged(cls, value: bool, info: ValidationInfo) -> bool:
        data = info.data
        if value and {"width", "height", "hr_scale", "hr_resize_x", "hr_resize_y"} <= data.keys():
            # One side alone, and A1111 keeps the proportions; none, and the scale holds.
            across, down = data["hr_resize_x"] / data["width"], data["hr_resize_y"] / data["height"]
            _check_area(
                round(data["width"] * (across or down or data["hr_scale"])),
                round(data["height"] * (down or across or data["hr_scale"])),
                "the second pass would draw ",
            )
        return value


class Img2Img(_Drawing):
    """A request to /sdapi/v1/img2img. Raises `InputError` with every problem at once, `PictureError` when the one
    problem is a picture.

    `init_images` and `mask` are bytes, a `pathlib.Path` or base64 text each. Width and height are those of the first
    init picture, floored to multiples of 8; A1111's own default of 512×512 would squash it. Given one side alone, the
    other follows in proportion.
    """

    width: Side | None = None
    height: Side | None = None
    denoising_strength: Share = 0.75
    init_images: list[Picture] = Field(min_length=1, description="one picture, or one for each of the batch")
    resize_mode: int = Field(0, ge=0, le=3, description="0 stretch, 1 crop, 2 fill, 3 latent")
    image_cfg_scale: float | None = None
    mask: Picture | None = None
    mask_blur: int | None = Field(None, ge=0, le=512, description="0 to 512 pixels")
    mask_blur_x: int = Field(4, ge=0, le=512, description="0 to 512 pixels")
    mask_blur_y: int = Field(4, ge=0, le=512, description="0 to 512 pixels")
    mask_round: bool = True
    inpainting_fill: int = Field(0, ge=0, le=3, description="0 fill, 1 original, 2 latent noise, 3 latent nothing")
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = Field(0, ge=0, le=MAX_SIDE)
    inpainting_mask_invert: int = Field(0, ge=0, le=1, description="0 or 1")
    initial_noise_multiplier: float | None = None
    latent_mask: Picture | None = None
    include_init_images: bool = False

    @field_validator("init_images")
    @classmethod
    def _fit_the_batch(cls, value: list[Encoded], info: ValidationInfo) -> list[Encoded]:
        batch = info.data.get("batch_size", len(value))
        if len(value) not in {1, batch}:
            raise ValueError(f"{len(value)} pictures for a batch of {batch}: give one, or as many as batch_size")
        if "width" in info.data and "height" in info.data and not info.data.get("infotext"):
            across, down = _drawn_size(info.data["width"], info.data["height"], value[0])
            if not (MIN_SIDE <= across <= MAX_SIDE and MIN_SIDE <= down <= MAX_SIDE):
                raise ValueError(
                    f"the first picture has {value[0].width}×{value[0].height} pixels; "
                    f"give a width and height from {MIN_SIDE} to {MAX_SIDE}"
                )
            _check_area(across, down)
        return value

    def body(self) -> dict[str, Any]:
        """What is sent; with a width and height."""
        if self.infotext and self.width is None and self.height is None:
            return {name: value for name, value in super().body().items() if name not in {"width", "height"}}
        width, height = _drawn_size(self.width, self.height, self.init_images[0])
        return {**super().body(), "width": width, "height": height}


class _Upscaling(_Request):
    resize_mode: int = Field(0, ge=0, le=1, description="0 by upscaling_resize, 1 to upscaling_resize_w × _h")
    show_extras_results: bool = True
    gfpgan_visibility: Share = 0.0
    codeformer_visibility: Share = 0.0
    codeformer_weight: Share = 0.0
    upscaling_resize: float = Field(2.0, gt=0, le=8, description="above 0, to 8 times the size")
    upscaling_resize_w: int = Field(512, ge=1, le=16384, description="1 to 16384 pixels")
    upscaling_resize_h: int = Field(512, ge=1, le=16384, description="1 to 16384 pixels")
    upscaling_crop: bool = True
    upscaler_1: str = "None"
    upscaler_2: str = "None"
    extras_upscaler_2_visibility: Share = 0.0
    upscale_first: bool = False


class Upscale(_Upscaling):
    """A request to /sdapi/v1/extra-single-image; `image` is bytes, a `pathlib.Path` or base64 text."""

    image: Picture

    @field_validator("image")
    @classmethod
    def _not_too_large(cls, value: Encoded, info: ValidationInfo) -> Encoded:
        _check_enlarged(value, info)
        return value


class NamedPicture(BaseModel):
    """One picture of `UpscaleMany`; its name is only A1111's label for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Picture
    name: str = ""


class UpscaleMany(_Upscaling):
    """A request to /sdapi/v1/extra-batch-images."""

    imageList: list[NamedPicture] = Field(min_length=1, description="one picture or more")

    @field_validator("imageList")
    @classmethod
    def _not_too_large(cls, value: list[NamedPicture], info: ValidationInfo) -> list[NamedPicture]:
        for named in value:
            _check_enlarged(named.data, info)
        return value


def checked_request(kind: type[Request], request: Request | Mapping[str, Any]) -> Request:
    """`request` itself, or one made from a mapping of A1111's field names. Raises `InputError`."""
    if isinstance(request, kind):
        return request
    if not isinstance(request, Mapping):
        raise InputError(
            f"A {type(request).__name__} was given where a {kind.__name__} is taken.",
            fix=f"Give a {kind.__name__}(…), or a mapping of A1111's field names.",
        )
    return kind.model_validate(dict(request))


def _check_area(width: int, height: int, which: str = "") -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{which}{width}×{height} pixels; {MAX_PIXELS // 1_000_000} million are the most")


def _check_enlarged(picture: Encoded, info: ValidationInfo) -> None:
    factor = info.data.get("upscaling_resize", 1.0)
    if info.data.get("resize_mode") == 0 and picture.width * picture.height * factor**2 > MAX_UPSCALED_PIXELS:
        raise ValueError(
            f"{picture.width}×{picture.height} enlarged {factor:g} times is more than "
            f"{MAX_UPSCALED_PIXELS // 1_000_000} million pixels"
        )


def _drawn_size(width: int | None, height: int | None, picture: Encoded) -> tuple[int, int]:
    if width is None and height is None:
        return picture.width // SIDE_STEP * SIDE_STEP, picture.height // SIDE_STEP * SIDE_STEP
    if width is None:
        width = round((height or 0) * picture.width / picture.height / SIDE_STEP) * SIDE_STEP
    if height is None:
        height = round(width * picture.height / picture.width / SIDE_STEP) * SIDE_STEP
    return width, height


def _plain(value: Any) -> Any:
    if isinstance(value, Encoded):
        return value.text
    if isinstance(value, NamedPicture):
        return {"data": value.data.text, "name": value.name}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
