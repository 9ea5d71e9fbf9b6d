"""The prompt of the baseline row: the same words without LoRA and without the trigger word."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LORA_TAG = re.compile(r"<\s*(?:lora|lyco)\s*:[^<>]*>", re.IGNORECASE)
# Stands where something was taken out until the commas around it are tidied; no prompt holds it.
_GAP = "\x00"
_COMMA = ",，、"


def baseline_prompt(prompt: str, trigger: str) -> str:
    """`prompt` as the base model alone would get it: every `<lora:…>` tag and every whole-word `trigger` is taken out.

    What the removal leaves goes too: the comma or the blank beside it, and brackets that hold nothing else
    (`(trigger:1.2)`). Everything else stays exactly as it was written. Letter case does not matter, as it does not to
    CLIP. A prompt with neither comes back unchanged.
    """
    text = _LORA_TAG.sub(_GAP, prompt.replace(_GAP, ""))
    if word := trigger.strip():
        # Not \\b: a trigger may begin or end with a bracket, and ai_model_v1 must not be found in ai_model_v1-b.
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _GAP, text, flags=re.IGNORECASE)
    return _tidy(text)


def take_out(parts: Iterable[str | None]) -> str:
    """The parts joined, with None for what was taken out: its comma or blank goes with it, as in `baseline_prompt`."""
    return _tidy("".join(_GAP if part is None else part.replace(_GAP, "") for part in parts))


def _tidy(text: str) -> str:
    if _GAP not in text:
        return text
    before = ""
    while before != text:
        before = text
        text = re.sub(rf"{_GAP}(?:\s*{_GAP})+", _GAP, text)
        # brackets of emphasis around nothing else, with or without a weight; an escaped bracket is a letter of the
        # prompt
        text = re.sub(rf"(?<!\\)\(\s*{_GAP}\s*(?::\s*[\d.]+\s*)?\)", _GAP, text)
        text = re.sub(rf"(?<!\\)\[\s*{_GAP}\s*\]", _GAP, text)
        # an item of its own: it goes with one of its commas
        text = re.sub(rf"\s*[{_COMMA}]\s*{_GAP}\s*(?=[{_COMMA})\]:]|$)", "", text)
        text = re.sub(rf"(^|(?<!\\)[(\[])\s*{_GAP}\s*[{_COMMA}]\s*", r"\1", text)
    # in the middle of words: one blank stays where there were two
    text = re.sub(rf"(?<=\s){_GAP}\s+", "", text)
    text = re.sub(rf"\s+{_GAP}(?=[{_COMMA})\]:.]|$)", "", text)
    text = re.sub(rf"^{_GAP}\s+", "", text)
    return text.replace(_GAP, "")
