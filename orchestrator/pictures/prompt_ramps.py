"""Ranges of weights in a prompt, as people write them: `(looking up:1.1…2.4)`, `<lora:ai_model_v1-000040:0.2…1.0>`.

`…`, `..` and `...` all say "up to". Pure text and numbers; nothing is drawn here.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from orchestrator.errors import InputError
from orchestrator.profile.model import UsedLora

#: No ramp is larger, whatever is agreed to: as many pictures as one picture set of the profile may have.
MOST_SETTINGS = 10_000
#: Without a step or a count a range is cut into about this many settings: as many rows as a sheet shows at one glance.
_AT_A_GLANCE = 8
#: The steps people think in.
_ROUND_STEPS = tuple(Decimal(text) for text in ("0.01", "0.02", "0.05", "0.1", "0.2", "0.25", "0.5", "1", "2", "5"))
#: A1111 reads any weight of a LoRA; beyond these nothing but noise was ever seen, and the profile refuses them too.
_LORA_WEIGHTS = (Decimal(-2), Decimal(4))

_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)"
_UP_TO = r"\s*(?:…|\.{2,3})\s*"
_RANGE = re.compile(rf"\s*({_NUMBER}){_UP_TO}({_NUMBER})\s*")
_IN_TEXT = re.compile(rf":\s*({_NUMBER}){_UP_TO}({_NUMBER})\s*")
_LORA_TAG = re.compile(r"<\s*(?:lora|lyco)\s*:([^>]*)>", re.IGNORECASE)
_OPEN_TAG = re.compile(r"<\s*(?:lora|lyco)\s*:[^>]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Range:
    """From `first` to `last`, both included; equal for a single value. May fall as well as rise."""

    first: Decimal
    last: Decimal

    @property
    def is_ramp(self) -> bool:
        """Whether it holds more than one value."""
        return self.first != self.last

    def values(self, *, step: Decimal | None = None, count: int | None = None) -> tuple[Decimal, ...]:
        """The values of the ramp: the first and the last always, and those between in steps of `step` (> 0), or `count`
        (≥ 2) of them evenly spread. With neither, in the round step that gives about eight.

        Values are exact decimals of at most six places, so that no two of them are written alike. Raises `InputError`.
        """
        span = abs(self.last - self.first)
        if not span:
            return (self.first,)
        if count is not None:
            if count < 2:
                raise InputError(f"A range of {self} cannot be cut into {count}.", fix="Give a --count of 2 or more.")
            _refuse_many(count, self)
            spread = [self.first + (self.last - self.first) * i / (count - 1) for i in range(count)]
            values = tuple(dict.fromkeys(value.quantize(Decimal("0.0001")).normalize() + 0 for value in spread[1:-1]))
            return tuple(dict.fromkeys((self.first, *values, self.last)))
        step = step if step is not None else _round_step(span)
        if step <= 0 or step.as_tuple().exponent < -6:  # type: ignore[operator]  # finite, as _decimal gives them
            raise InputError(f"A step of {step} does not lead from {self.first} to {self.last}.", fix="Give a --step.")
        whole = int((span / step).to_integral_value(ROUND_FLOOR))
        _refuse_many(whole + 1, self)
        towards = step if self.last > self.first else -step
        return tuple(dict.fromkeys((*(self.first + towards * i for i in range(whole + 1)), self.last)))

    def __str__(self) -> str:
        return f"{plain(self.first)}…{plain(self.last)}" if self.is_ramp else plain(self.first)


@dataclass(frozen=True)
class Setting:
    """One setting of a ramp: what is drawn for every seed.

    `values` names what was set to what, in the order it stands in the prompt; empty where nothing is ramped.
    `denoise` is None for pictures drawn from nothing.
    """

    prompt: str
    loras: tuple[UsedLora, ...] = ()
    denoise: float | None = None
    values: tuple[tuple[str, float], ...] = ()

    @property
    def label(self) -> str:
        """The setting in words, for rows of sheets and tables."""
        return ", ".join(f"{name} {value:g}" for name, value in self.values) or "as written"


@dataclass(frozen=True)
class _Lora:
    name: str
    weight: Range


@dataclass(frozen=True)
class RampPrompt:
    """A prompt taken apart. `pieces` are text and ranges in turn; `names` says what each range weighs.

    `order` tells, for every factor of the product, whether it is LoRA number n or range number n, as written.
    """

    pieces: tuple[str | Range, ...]
    names: tuple[str, ...]
    loras: tuple[_Lora, ...]
    order: tuple[tuple[str, int], ...]

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The ranges in the text."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Range))

    def settings(
        self, *, denoise: Range | None = None, step: Decimal | None = None, count: int | None = None
    ) -> tuple[Setting, ...]:
        """Every combination of the ranges' values, the one written first changing slowest; denoise changes fastest.

        `step` and `count` hold for every range. Raises `InputError` for more than 10,000.
        """
        values: list[tuple[Decimal, ...]] = []
        labels: list[str] = []
        for kind, index in self.order:
            weight = self.loras[index].weight if kind == "lora" else self.ranges[index]
            values.append(weight.values(step=step, count=count))
            labels.append(self.loras[index].name if kind == "lora" else self.names[index])
        if denoise is not None:
            values.append(denoise.values(step=step, count=count))
            labels.append("denoise")
        total = math.prod(len(each) for each in values)
        if total > MOST_SETTINGS:
            raise _too_many(total, " × ".join(str(len(each)) for each in values))
        ramped = [len(each) > 1 for each in values]
        found = []
        for chosen in itertools.product(*values):
            said = tuple(
                (label, float(value)) for label, value, shown in zip(labels, chosen, ramped, strict=True) if shown
            )
            weights = [*chosen]
            strength = float(weights.pop()) if denoise is not None else None
            by_place = dict(zip(self.order, weights, strict=True))
            loras = tuple(
                UsedLora(name=lora.name, weight=float(by_place["lora", i])) for i, lora in enumerate(self.loras)
            )
            found.append(Setting(self._text(by_place), loras, strength, said))
        return tuple(found)

    def _text(self, chosen: dict[tuple[str, int], Decimal]) -> str:
        places = itertools.count()
        return "".join(
            piece if isinstance(piece, str) else plain(chosen["text", next(places)]) for piece in self.pieces
        )


def parse_prompt(text: str) -> RampPrompt:
    """Take the `<lora:…>` tags and the ranges out of a prompt. Raises `InputError` for what A1111 would not read as
    meant.
    """
    loras: list[_Lora] = []
    order: list[tuple[int, tuple[str, int]]] = []

    def take(tag: re.Match[str]) -> str:
        order.append((tag.start(), ("lora", len(loras))))
        loras.append(_lora(tag))
        # The same length, so that what stands behind keeps its place until the order is known.
        return "\0" * len(tag.group())

    if _OPEN_TAG.search(text):
        raise InputError(f"A LoRA tag is not closed: {_OPEN_TAG.search(text)[0]!r}.", fix="End it with >.")  # type: ignore[index]
    bare = _LORA_TAG.sub(take, text)
    pieces: list[str | Range] = []
    names: list[str] = []
    end = 0
    for found in _IN_TEXT.finditer(bare):
        if bare[found.end() : found.end() + 1] != ")":
            raise _outside(found[0])
        order.append((found.start(), ("text", len(names))))
        names.append(_weighed(bare, found.start()))
        first = found.start(1)
        pieces += [_without_tags(bare[end:first], first=end == 0), Range(Decimal(found[1]), Decimal(found[2]))]
        end = found.end()
    pieces.append(_without_tags(bare[end:], first=end == 0, last=True))
    return RampPrompt(tuple(pieces), tuple(names), tuple(loras), tuple(place for _, place in sorted(order)))


def parse_range(text: str, *, what: str, low: float, high: float) -> Range:
    """`0.2…0.8`, or a single number. Raises `InputError` for anything else, or outside `low` to `high`."""
    found = _RANGE.fullmatch(text)
    if found:
        result = Range(Decimal(found[1]), Decimal(found[2]))
    elif re.fullmatch(_NUMBER, text.strip()):
        result = Range(Decimal(text.strip()), Decimal(text.strip()))
    else:
        raise InputError(
            f"{what} {text!r} is neither a number nor a range.", fix="Write 0.45, or 0.2…0.8 (or 0.2..0.8)."
        )
    if not all(Decimal(str(low)) <= value <= Decimal(str(high)) for value in (result.first, result.last)):
        raise InputError(f"{what} {result} is not between {low:g} and {high:g}.", fix="Correct it.")
    return result


def parse_step(text: str) -> Decimal:
    """A step between two values, as 0.1. Raises `InputError` for what is no number above 0."""
    if not re.fullmatch(_NUMBER, text.strip()) or Decimal(text.strip()) <= 0:
        raise InputError(f"--step {text!r} is no number above 0.", fix="Write it as 0.1.")
    return Decimal(text.strip())


def plain(value: Decimal) -> str:
    """A decimal as the webui reads it: 1.1, 1, 0.25; no exponent, no trailing noughts."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ramp_name(settings: Sequence[Setting]) -> str:
    """A name for the picture set of a ramp: what is ramped."""
    names = list(dict.fromkeys(name for name, _ in settings[0].values))
    return " ".join(["ramp", *names])[:70].strip() if names else "seeds"


def _lora(tag: re.Match[str]) -> _Lora:
    name, colon, weight = (part.strip() for part in tag[1].partition(":"))
    if not name:
        raise InputError(f"{tag.group()} names no LoRA.", fix="Write <lora:NAME:WEIGHT> with the file's name.")
    if not colon:
        return _Lora(name, Range(Decimal(1), Decimal(1)))
    if ":" in weight or "=" in weight:
        raise InputError(
            f"{tag.group()} has more than one weight.",
            cause="Different weights for text encoder and U-Net are not kept apart here.",
            fix="Give one: <lora:NAME:WEIGHT>.",
        )
    what = f"The weight in {tag.group()}:"
    return _Lora(name, parse_range(weight, what=what, low=float(_LORA_WEIGHTS[0]), high=float(_LORA_WEIGHTS[1])))


def _outside(what: str) -> InputError:
    return InputError(
        f"The range {what.strip(' :')} does not stand at the end of a bracket ( … ).",
        cause="A1111 reads weights as in (looking up:1.3); elsewhere they are plain words.",
        fix="Put what it weighs into round brackets, with the range before the closing one: (looking up:1.1…2.4).",
    )


def _weighed(text: str, colon: int) -> str:
    """What the range behind `colon` weighs: back to the round bracket that is open there."""
    depth = 0
    for place in range(colon - 1, -1, -1):
        if text[place] not in "()" or text[:place].endswith("\\"):
            continue
        depth += 1 if text[place] == ")" else -1
        if depth < 0:
            return " ".join(text[place + 1 : colon].replace("\0", " ").strip(" ([").split()) or "weight"
    raise _outside(text[colon:][: text[colon:].find(")")] or text[colon:])


def _without_tags(text: str, *, first: bool = False, last: bool = False) -> str:
    """`text` without the places of the tags, and without the commas and blanks they leave behind."""
    if "\0" in text:
        text = re.sub(r"\s*,?\s*\0+(?=\s*(?:,|$))", "", text)
        text = re.sub(r"\s*\0+\s*", " ", text)
        text = text.lstrip(" ,") if first else text
    return text.strip() if first and last else text.lstrip() if first else text.rstrip() if last else text


def _round_step(span: Decimal) -> Decimal:
    return next((step for step in _ROUND_STEPS if span / step <= _AT_A_GLANCE), span)


def _refuse_many(count: int, what: object) -> None:
    if count > MOST_SETTINGS:
        raise _too_many(count, str(what))


def _too_many(count: int, what: str) -> InputError:
    return InputError(
        f"{count:,} settings ({what}) are too many.",
        fix=f"Give a larger --step or a smaller --count; {MOST_SETTINGS:,} are the most.",
    )
