"""The "generation parameters" text that A1111 writes into every picture.

    PROMPT
    Negative prompt: …
    Steps: 28, Sampler: DPM++ 2M, …, Lora hashes: "a: 0123, b: 4567", Version: v1.10.1

Values that hold a comma, a colon or a newline are JSON strings. The negative line is missing when it is empty.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_NEGATIVE = "Negative prompt: "
_FIRST_FIELD = "Steps: "
# The length of a name is bounded: a long line without a colon would take hours.
_FIELD = re.compile(r'\s*([\w ()/\-.\[\]]{1,80}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


@dataclass(frozen=True)
class Infotext:
    """An infotext taken apart. `fields` keeps the order and the texts of the last line."""

    prompt: str
    negative_prompt: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def lora_hashes(self) -> dict[str, str]:
        """LoRA name as written in the prompt → first 12 digits of its hash. A LoRA that A1111 did not find is not
        here.
        """
        pairs = (pair.rpartition(": ") for pair in self.fields.get("Lora hashes", "").split(", "))
        return {name.strip(): shown for name, _, shown in pairs if name}


def parse(text: str) -> Infotext:
    """Take an infotext apart. Never fails: what is not understood stays in the prompt."""
    lines = text.strip("\n").split("\n")
    fields: dict[str, str] = {}
    if lines[-1].startswith(_FIRST_FIELD):
        fields = parse_fields(lines.pop())
    negative_at = next((i for i, line in enumerate(lines) if line.startswith(_NEGATIVE)), None)
    if negative_at is None:
        return Infotext("\n".join(lines), "", fields)
    negative = "\n".join(lines[negative_at:])[len(_NEGATIVE) :]
    return Infotext("\n".join(lines[:negative_at]), negative, fields)


def parse_fields(line: str) -> dict[str, str]:
    """`Steps: 28, Sampler: Euler, Lora hashes: "a: 1"` as a mapping of texts."""
    return {match[1].strip(): _unquoted(match[2].strip()) for match in _FIELD.finditer(line)}


def write_fields(fields: dict[str, str]) -> str:
    """The last line of an infotext; the inverse of `parse_fields`."""
    return ", ".join(f"{name}: {_quoted(value)}" for name, value in fields.items())


def _quoted(value: str) -> str:
    # An outer blank or a leading quote would be lost without quoting; A1111 itself quotes for , : and newline.
    needs = any(mark in value for mark in ',\n:"') or value != value.strip()
    return json.dumps(value, ensure_ascii=False) if needs else value


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except json.JSONDecodeError:
        return value
