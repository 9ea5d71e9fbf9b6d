"""What the values of axes do to a picture: prompt, LoRA files, sampler, model, and the plain settings.

Axes that act on the same thing act together (prompt × replaced words × style give one prompt), so a grid is a few
tables of such parts, and a cell is one row of each. That is what makes a hundred thousand cells quick to plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.grid.prompts import baseline_prompt
from orchestrator.grid.templates import Template
from orchestrator.render.recipe import LoraUse

if TYPE_CHECKING:
    from orchestrator.grid.definition import Definition
    from orchestrator.grid.stock import Stock

#: The values a cell has, by kind; replaced words, weighted phrases and options by the axis' name.
Chosen = Mapping[str, str]
Changes = dict[str, Any]
#: The kinds each part is made of. `replace`, `prompt weight` and `option` may stand several times.
PROMPT = frozenset({"prompt", "replace", "prompt weight", "version", "styles", "negative prompt"})
LORAS = frozenset({"epoch", "weight", "version", "lora"})
SAMPLER = frozenset({"sampler", "scheduler"})
MODEL = frozenset({"checkpoint", "vae"})
OPTIONS = frozenset({"option"})
#: Kinds that set one field each.
PLAIN: Mapping[str, Callable[[str], Changes]] = {
    "seed": lambda text: {"seed": int(text)},
    "steps": lambda text: {"steps": int(text)},
    "cfg": lambda text: {"cfg_scale": float(text)},
    "size": lambda text: dict(zip(("width", "height"), map(int, text.split("x")), strict=True)),
    "clip skip": lambda text: {"clip_skip": int(text)},
    "denoise": lambda text: {"denoising_strength": float(text)},
}
_NONE = frozenset({"none", ""})


def prompt_changes(
    definition: Definition, prompt: Template, negative: Template, stock: Stock, chosen: Chosen, words: Chosen,
    *, bare: bool,
) -> Changes:  # fmt: skip
    """Prompt and negative prompt of one cell; `bare` without the trigger. `words` fill the slots, by axis name."""
    fill = definition.subject.words(chosen.get("version", ""))
    texts = [_braces(each.filled(words), fill) for each in (prompt, negative)]
    for name in style_names(chosen.get("styles", "")):
        styled = stock.styles[name]
        texts = [_styled(text, style) for text, style in zip(texts, styled, strict=True)]
    positive, negated = texts
    return {
        "prompt": baseline_prompt(positive, fill["trigger"]) if bare else positive,
        "negative_prompt": negated,
    }


def _braces(text: str, words: Mapping[str, str]) -> str:
    # Not str.format: prompts hold braces of their own (dynamic prompts), and a stray one must not raise.
    for name, word in words.items():
        text = text.replace("{" + name + "}", word)
    return text


def _styled(text: str, style: str) -> str:
    """As the webui joins them: the style around the prompt where it says {prompt}, else behind it."""
    if "{prompt}" in style:
        return style.replace("{prompt}", text)
    return ", ".join(part for part in (text.strip(), style.strip()) if part)


def style_names(value: str) -> list[str]:
    """The styles in one value of a styles axis: `a + b`; none."""
    return [] if value.strip().casefold() in _NONE else [part.strip() for part in re.split(r"\s\+\s", value)]


def lora_parts(value: str, problems: list[str] | None = None) -> list[tuple[str, float | None]]:
    """The files in one value of a lora axis, each with the weight it names: `a + b:0.5`; none."""
    if value.strip().casefold() in _NONE:
        return []
    found: list[tuple[str, float | None]] = []
    for part in re.split(r"\s\+\s", value):
        name, colon, weight = part.strip().rpartition(":")
        try:
            found.append((name.strip(), float(weight)) if colon else (part.strip(), None))
        except ValueError:
            if problems is not None:
                problems.append(f"axis lora: {weight!r} in {part.strip()!r} is no weight")
    return found


def lora_uses(definition: Definition, stock: Stock, chosen: Chosen, *, of_run: bool) -> tuple[LoraUse, ...]:
    """The LoRA files of one cell that is not of the baseline: the one under test first, then the further ones.

    With `of_run` the one under test is a run's; the weight axis is its. Without an epoch axis it is the run's last.
    """
    weight = float(chosen["weight"]) if "weight" in chosen else None
    uses: list[LoraUse] = []
    if of_run:
        files = stock.runs[chosen.get("version", definition.subject.version)]
        epoch = int(chosen["epoch"]) if "epoch" in chosen else max(files)
        uses.append(_at(files[epoch], 1.0 if weight is None else weight))
        weight = None
    for name, own in lora_parts(chosen.get("lora", "")):
        asked = own if own is not None else weight if weight is not None else 1.0
        uses.append(_at(stock.loras[name], asked))
        weight = None
    uses += [_at(stock.loras[further.name], further.weight) for further in definition.loras]
    return tuple(uses)


def _at(use: LoraUse, weight: float) -> LoraUse:
    return LoraUse(use.stem, use.sha256, use.shown_hash, weight)


def sampler_changes(definition: Definition, stock: Stock, chosen: Chosen) -> Changes:
    """Sampler and schedule, which a sampler's name may bring along."""
    settings = definition.settings
    sampler, scheduler = stock.sampler(
        chosen.get("sampler", settings.sampler), chosen.get("scheduler", settings.scheduler)
    )
    return {"sampler": sampler, "scheduler": scheduler}


def model_changes(definition: Definition, stock: Stock, chosen: Chosen) -> Changes:
    """Checkpoint and VAE with their hashes."""
    settings = definition.settings
    return dict(stock.models[chosen.get("checkpoint", settings.checkpoint), chosen.get("vae", settings.vae)])


def option_changes(stock: Stock, named: Sequence[tuple[str, str]]) -> Changes:
    """The webui's options for one cell, from (option, text) pairs."""
    values = {name: stock.options[name][text] for name, text in named}
    return {"options": json.dumps(values, sort_keys=True, ensure_ascii=False)}
