"""The generation text under every picture: written exactly as the server writes it, and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"^(\d+)x(\d+)$")
_MIN_PAIRS = 3
_DEFAULTS: dict[str, str | int | bool] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Cache FP16 weight for LoRA": False,
    "Emphasis": "Original",
}


def quote(value: Any) -> str:
    """JSON-quoted if it holds a comma, colon or newline."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def write(prompt: str, negative_prompt: str, parameters: Mapping[str, Any]) -> str:
    """Prompt, negative prompt (if any), one line of parameters; those that are None are left out."""
    negative = f"\nNegative prompt: {negative_prompt}" if negative_prompt else ""
    line = ", ".join(f"{key}: {quote(value)}" for key, value in parameters.items() if value is not None)
    return f"{prompt}{negative}\n{line}".strip()


def read(text: str) -> dict[str, Any]:
    """The parameters of a generation text, all as strings, with the server's defaults for those it does not name."""
    *lines, last = text.strip().split("\n")
    if len(_PAIR.findall(last)) < _MIN_PAIRS:
        lines, last = [*lines, last], ""
    prompt: list[str] = []
    negative: list[str] = []
    target = prompt
    for line in (line.strip() for line in lines):
        if line.startswith("Negative prompt:"):
            target = negative
            target.append(line.removeprefix("Negative prompt:").strip())
        else:
            target.append(line)
    found: dict[str, Any] = {"Prompt": "\n".join(prompt), "Negative prompt": "\n".join(negative)}
    for key, raw in _PAIR.findall(last):
        value = raw
        if raw.startswith('"') and raw.endswith('"'):
            try:
                value = json.loads(raw)
            except ValueError:
                value = raw
        size = _SIZE.match(value)
        if size:
            found[f"{key}-1"], found[f"{key}-2"] = size.groups()
        else:
            found[key] = value
    return {**found, **{key: value for key, value in _DEFAULTS.items() if key not in found}}
