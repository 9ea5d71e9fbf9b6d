"""Requests that draw, in A1111's own words, checked before anything is sent.

A1111 ignores a misspelt field in silence, takes 0×0 for an error of its own, and is busy for minutes with
100000×100000. So a request with an unknown field or a value out of range is refused here, with every problem at once.

    Txt2Img(prompt="a lighthouse", steps=20, seed=1)

What is not given is not sent: A1111's own default, named here, then holds (observed on 1.10.1). Fields of forks and
extensions go under `extra`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orchestrator.a1111.pictures import Encoded, NotAPicture, checked
from orchestrator.errors import InputError, PictureError

MIN_SIDE, MAX_SIDE, SIDE_STEP = 64, 4096, 8
#: Pixels of one picture, the enlarged one of a hires request included.
MAX_PIXELS = 16_000_000
MAX_STEPS = 150
MAX_BATCH_SIZE = 64
MAX_ITERATIONS = 100
MAX_CFG = 30.0
#: torch takes seeds up to a signed 64-bit integer; above, A1111 answers 500.
MAX_SEED = 2**63 - 1
MAX_PROMPT_BYTES = 1_000_000
#: Pixels of one picture from the extras routes: A1111's own limit for sheets.
MAX_UPSCALED_PIXELS = 200_000_000


def _prompt(text: str) -> str:
    try:
        length = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate), which cannot be sent") from None
    if length > MAX_PROMPT_BYTES:
        raise ValueError(f"{length:,} bytes are no prompt; 1,000,000 are the most that is sent")
    return text


def _json(value: Any) -> Any:
    """`value`, if it can be sent as JSON."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is no text")
            _json(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _json(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be sent as JSON")
    elif not (value is None or isinstance(value, str | bool | int | float)):
        raise ValueError(f"a {type(value).__name__} cannot be sent as JSON; pictures go in as base64 text")
    return value


Prompt = Annotated[str, AfterValidator(_prompt)]
Side = Annotated[
    int,
    Field(
        ge=MIN_SIDE,
        le=MAX_SIDE,
        multiple_of=SIDE_STEP,
        description="a side has 64 to 4096 pixels, a multiple of 8 (A1111 checks nothing: 0 is an error of its own, "
        "100000 keeps it busy for minutes)",
    ),
]
Seed = Annotated[
    int,
    Field(ge=-1, le=MAX_SEED, description="a seed is -1 (random) or 0 to 2**63-1"),
]
Share = Annotated[float, Field(ge=0, le=1, description="0 to 1")]
Name = str | None
Sendable = Annotated[dict[str, Any], AfterValidator(_json)]
Picture = Annotated[Encoded, PlainValidator(checked)]
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
            raise _refusal(cls, error) from None

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
    n_iter: int = Field(1, ge=1, le=MAX_ITERATIONS, description="1 to 100 batches, one after the other")
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
    script_args: Annotated[list[Any], AfterValidator(_json)] = Field(default_factory=list)
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
    enable_hr: bool = False
    denoising_strength: Share | None = None
    firstphase_width: int = Field(0, ge=0, le=MAX_SIDE)
    firstphase_height: int = Field(0, ge=0, le=MAX_SIDE)
    hr_scale: float = Field(2.0, ge=1, le=8, description="1 to 8 times the size")
    hr_upscaler: Name = None
    hr_second_pass_steps: int = Field(0, ge=0, le=MAX_STEPS, description="0 (as many as steps) to 150")
    hr_resize_x: int = Field(0, ge=0, le=2 * MAX_SIDE, description="0 (by hr_scale) to 8192 pixels")
    hr_resize_y: int = Field(
        0, ge=0, le=2 * MAX_SIDE, description="0 (by hr_scale) to 8192 pixels", validate_default=True
    )
    hr_checkpoint_name: Name = None
    hr_sampler_name: Name = None
    hr_scheduler: Name = None
    hr_prompt: Prompt = ""
    hr_negative_prompt: Prompt = ""
    #: The second pass's CFG on Forge and reForge, whose default of 1 hardly heeds the prompt: sent there as
    #: `cfg_scale` unless it is given.
    hr_cfg: float = Field(1.0, ge=0, le=MAX_CFG, description="0 to 30")

    @field_validator("height")
    @classmethod
    def _area(cls, value: int, info: ValidationInfo) -> int:
        _check_area(info.data.get("width", 0), value)
        return value

    @field_validator("hr_resize_y")
    @classmethod
    def _enlarged(cls, value: int, info: ValidationInfo) -> int:
        data = info.data
        if data.get("enable_hr") and {"width", "height", "hr_scale", "hr_resize_x"} <= data.keys():
            across, down = data["width"], data["height"]
            # One side alone, and A1111 keeps the proportions; none, and the scale holds.
            scale_x, scale_y = data["hr_resize_x"] / across, value / down
            _check_area(
                round(across * (scale_x or scale_y or data["hr_scale"])),
                round(down * (scale_y or scale_x or data["hr_scale"])),
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


def _refusal(kind: type[BaseModel], error: ValidationError) -> InputError:
    """One error for all problems of a request; a `PictureError` when the one problem is a picture."""
    problems = error.errors(include_url=False)
    pictures = [one for one in problems if _is_picture(one)]
    if len(problems) == len(pictures) == 1:
        return PictureError(_picture_name(pictures[0]), _reason(pictures[0]))
    lines = "\n".join(f"  {_line(kind, one)}" for one in problems)
    return InputError(
        f"{kind.__name__} cannot be sent to A1111:\n{lines}", fix="Nothing was sent. Correct what is named."
    )


def _line(kind: type[BaseModel], problem: Any) -> str:
    path = ".".join(str(step) for step in problem["loc"]) or "the request"
    if problem["type"] == "extra_forbidden":
        known = list(kind.model_fields)
        close = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "a field of a fork or an extension goes under `extra`."
        return f"{path}: A1111 has no such field and would ignore it in silence; {hint}"
    if problem["type"] == "missing":
        return f"{path}: it is needed"
    if _is_picture(problem):
        return f"{_picture_name(problem)}: {_reason(problem)}"
    if problem["type"] == "value_error":
        return f"{path}: {_reason(problem)}"
    field = kind.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    rule = field.description if field and field.description else problem["msg"]
    return f"{path}: {_short(problem['input'])} does not do: {rule}"


def _short(value: Any) -> str:
    # What was given may be a whole picture.
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:37]}…"


def _reason(problem: Any) -> str:
    return str(problem["ctx"]["error"])


def _is_picture(problem: Any) -> bool:
    return isinstance(problem.get("ctx", {}).get("error"), NotAPicture)


def _picture_name(problem: Any) -> Path | str:
    given = problem["input"]
    return given if isinstance(given, Path) else ".".join(str(step) for step in problem["loc"])
