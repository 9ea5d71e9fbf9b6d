"""What A1111's X/Y/Z plot says of itself in the infotext of its sheet, and the LoRA tags of a prompt.

    …, Script: X/Y/Z plot, X Type: Prompt S/R, X Values: "a,b", Y Type: Seed, Y Values: "1-2", Fixed Y Values: "1, 2"

Values are CSV as the person wrote them, ranges included; where seeds were chosen at random, the fixed ones say which.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.a1111.xyz import PROMPT_SR, Axis

#: The fields that speak of the plot and not of the picture.
PLOT_FIELDS = frozenset(
    {"Script", *(f"{prefix}{letter} {part}" for letter in "XYZ" for prefix, part in
                 (("", "Type"), ("", "Values"), ("Fixed ", "Values")))}
)  # fmt: skip
_TAG = re.compile(r"<\s*(?:lora|lyco)\s*:([^<>:]*)((?::[^<>:]*)*)>", re.IGNORECASE)
_WEIGHT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")


@dataclass(frozen=True)
class Tag:
    """A LoRA tag: the name as written and its weight. `strange` says what of it is more than a name and a weight."""

    name: str
    weight: float
    strange: str = ""


def plot_axes(fields: Mapping[str, str]) -> tuple[Axis, ...]:
    """The axes of the plot an infotext speaks of, x first; empty where it speaks of none. Ranges stay as written."""
    axes = []
    for letter in "XYZ":
        label = fields.get(f"{letter} Type", "")
        if label and label != "Nothing":
            values = fields.get(f"Fixed {letter} Values") or fields.get(f"{letter} Values", "")
            axes.append(Axis(label, tuple(split_values(values))))
    return tuple(axes)


def split_values(text: str) -> list[str]:
    """The values of an axis as the script splits them: CSV, blanks at their ends taken off."""
    rows = csv.reader([text.replace("\n", " ")], skipinitialspace=True)
    try:
        return [value.strip() for row in rows for value in row]
    except csv.Error:
        return [text]


def replace_in(prompt: str, negative_prompt: str, axis: Axis, value: str) -> tuple[str, str]:
    """(prompt, negative prompt) of one value of a `Prompt S/R` axis: its first value is the text that is searched."""
    if axis.label != PROMPT_SR or not axis.values or not axis.values[0]:
        return prompt, negative_prompt
    return prompt.replace(axis.values[0], value), negative_prompt.replace(axis.values[0], value)


def without_tags(prompt: str) -> tuple[str, list[Tag]]:
    """`prompt` without its LoRA tags, everything else as it was, and the tags in their order.

    A1111 draws the same from what is left: it takes the tags out in the same way and the text encoder does not count
    blanks.
    """
    tags = [_tag(match[1].strip(), match[2].split(":")[1:]) for match in _TAG.finditer(prompt)]
    return _TAG.sub("", prompt).strip(), tags


def _tag(name: str, parts: Sequence[str]) -> Tag:
    if not parts:
        return Tag(name, 1.0)
    first = parts[0].strip()
    if not _WEIGHT.fullmatch(first):
        return Tag(name, 1.0, f"its weight {first!r} is no number, so A1111 drew without it")
    others = [part.strip() for part in parts[1:] if part.strip() != first]
    strange = f"besides the weight it says {':'.join(others)!r}" if others else ""
    return Tag(name, float(first), strange)
