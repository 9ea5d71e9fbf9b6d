"""The fields of requests: their limits, and what is sent of them.

The limits are ours, where A1111 has none: beyond them it fails late, or is busy for minutes (observed on 1.10.1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator

from orchestrator.a1111.pictures import Encoded, checked

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
Arguments = Annotated[list[Any], AfterValidator(_json)]
Picture = Annotated[Encoded, PlainValidator(checked)]
