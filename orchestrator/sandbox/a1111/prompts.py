"""What the server does to a prompt before it reaches the model: comment lines, `<lora:…>` tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_TAG = re.compile(r"<(\w+):([^>]+)>")
_COMMENT_LINE = re.compile(r"(^|\n)#[^\n]*(?=\n|$)")
_LORA_WORDS = ("lora", "lyco")


@dataclass(frozen=True)
class LoraTag:
    """One `<lora:NAME:TE:UNET>`; the parts between the colons, as written."""

    items: tuple[str, ...]

    @cached_property
    def _positional(self) -> list[str]:
        return [item for item in self.items if "=" not in item]

    @cached_property
    def _named(self) -> dict[str, str]:
        return dict(item.split("=", 1) for item in self.items if "=" in item)

    @property
    def name(self) -> str:
        """Stem or alias. Raises IndexError if the tag holds only named parts."""
        return self._positional[0]

    def weights(self) -> tuple[float, float]:
        """Text-encoder and UNet weight; one given weight counts for both, none means 1.0. Raises ValueError
        for no number."""
        given = self._positional
        text = float(self._named.get("te", float(given[1]) if len(given) > 1 else 1.0))
        unet = float(self._named.get("unet", float(given[2]) if len(given) > 2 else text))
        return text, unet


def strip_comments(prompt: str, keep_gaps: bool = False) -> str:
    """Without the lines that begin with `#`; with `keep_gaps` an empty line stays where the first one stood too."""
    if "#" not in prompt:
        return prompt
    left = _COMMENT_LINE.sub(r"\1", prompt)
    return left if keep_gaps else left.lstrip("\n")


def split_tags(prompt: str) -> tuple[str, tuple[LoraTag, ...]]:
    """The text without any `<word:…>` tag, and the LoRA tags. Tags of unknown words vanish without a trace."""
    tags = tuple(
        LoraTag(tuple(found.group(2).split(":"))) for found in _TAG.finditer(prompt) if found.group(1) in _LORA_WORDS
    )
    return _TAG.sub("", prompt), tags
