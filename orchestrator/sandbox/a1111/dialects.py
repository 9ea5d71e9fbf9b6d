"""In what the forks differ from A1111 1.10.1. What is named "(source)" was read in the fork's code, not observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Name = Literal["a1111", "forge", "reforge", "classic"]


@dataclass(frozen=True)
class Dialect:
    """One program that speaks A1111's API."""

    name: Name
    version: str
    """`info.version` and `Version:` of the generation text."""
    drops_all_loras: bool = False
    """One name that cannot be found: none of the prompt's LoRAs is used."""
    keeps_files: int = 0
    """LoRA files held in memory by their path: a file replaced meanwhile goes on acting with its old weights."""
    counts_lora_once: bool = False
    renames_broken_loras: bool = False
    hashes_whole_file: bool = False
    """For a LoRA without sshs_model_hash; the others leave the header out."""
    misfit: Literal["error", "listed"] = "listed"
    """A LoRA whose sizes do not fit: 500, or left out with its hash in the answer."""
    nan_is_black: bool = False
    loads_lazily: bool = False
    has_schedulers: bool = True
    """False: `DPM++ 2M Karras` is a sampler of its own and an unknown sampler is refused."""
    has_sd_vae: bool = True
    has_sd_modules: bool = False
    has_hr_cfg: bool = False
    zero_hr_cfg_is_cfg: bool = False
    img2img_depends: bool = True
    """img2img takes its noise from the random state the job before left."""
    keeps_comment_gaps: bool = False
    """The line a comment stood on stays, empty."""
    chosen_at_start: bool = True
    """The checkpoint loaded at start is written into the options; otherwise that option is null until it is set."""
    pydantic2: bool = False
    process_time: bool = True
    """The X-Process-Time header; without it there is no gzip either while the web page is on."""
    closes_after_error: bool = False
    """A failed request's connection is closed without a word."""
    challenges: bool = False
    """401 comes with WWW-Authenticate."""
    error_key: Literal["errors", "message"] = "errors"
    plain_http_errors: bool = False
    """A refusal in the server's own words is `{"detail": …}` only."""
    early_request: Literal["dies", "deaf", "survives"] = "dies"
    """What a request in the start-up window does to it."""


A1111 = Dialect("a1111", "v1.10.1")
FORGE = Dialect(
    "forge",
    "f2.0.1v1.10.1-previous-669-gdfdcbab6",
    drops_all_loras=True,
    keeps_files=5,
    counts_lora_once=True,
    renames_broken_loras=True,
    hashes_whole_file=True,
    misfit="error",
    nan_is_black=True,
    loads_lazily=True,
    has_sd_vae=False,
    has_sd_modules=True,
    has_hr_cfg=True,
    pydantic2=True,
    process_time=False,
    closes_after_error=True,
    challenges=True,
    error_key="message",
    plain_http_errors=True,
    early_request="survives",
)
REFORGE = Dialect(
    "reforge",
    "f1.0.0v2-v1.10.1RC-latest-2510-g3b56b268",
    drops_all_loras=True,
    keeps_files=5,
    nan_is_black=True,
    has_hr_cfg=True,
    zero_hr_cfg_is_cfg=True,
    img2img_depends=False,
    keeps_comment_gaps=True,
    chosen_at_start=False,
    early_request="deaf",
)
CLASSIC = Dialect(
    "classic",
    "classic",
    drops_all_loras=True,
    keeps_files=5,
    nan_is_black=True,
    has_schedulers=False,
)
"""All (source)."""
DIALECTS: dict[Name, Dialect] = {one.name: one for one in (A1111, FORGE, REFORGE, CLASSIC)}
