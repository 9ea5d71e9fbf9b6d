"""The kinds of axes: what each varies, which values it takes, and how it is written on the command line.

`KINDS` is the whole list. `Kind.read` turns what a person wrote into the axis' texts; what a value does to a picture
stands in `orchestrator.grid.parts`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.a1111.request_fields import MAX_CFG, MAX_PIXELS, MAX_SEED, MAX_SIDE, MAX_STEPS, MIN_SIDE, SIDE_STEP
from orchestrator.grid.axis_values import BadValues, numbers, texts

Written = str | Iterable[object]
Sort = Literal["whole", "number", "words"]


@dataclass(frozen=True)
class Kind:
    """One kind of axis. `lora` axes are those the baseline goes without; `needs` names what must be said besides the
    values (the option's name, the phrase that is weighted).
    """

    name: str
    what: str
    sort: Sort = "words"
    lora: bool = False
    low: float = 0.0
    high: float = 0.0
    needs: str = ""
    #: Whether it may stand without values, which are then all there are (epochs).
    may_be_all: bool = False
    check: Callable[[str], str] = str

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which rules of exclusion compare by size."""
        return self.sort != "words"

    def read(self, written: Written) -> tuple[str, ...]:
        """The values as texts, in their order; empty = all there are. Raises `BadValues`."""
        if self.may_be_all and _is_all(written):
            return ()
        if self.sort == "words":
            found = tuple(self.check(value) for value in texts(written))
        else:
            found = numbers(written, whole=self.sort == "whole")
            for value in found:
                # As whole numbers where they are: the largest seed would be rounded up by a float.
                if not self.low <= (int(value) if self.sort == "whole" else float(value)) <= self.high:
                    raise BadValues(f"{value} is not between {self.low} and {self.high}")
        if twice := next((value for value in found if found.count(value) > 1), None) if _repeats(found) else None:
            raise BadValues(f"the value {twice!r} stands here twice")
        return found


def _repeats(found: tuple[str, ...]) -> bool:
    return len(set(found)) != len(found)


def _is_all(written: Written) -> bool:
    given = written if isinstance(written, str) else list(written)
    return not given or (isinstance(given, str) and given.strip().casefold() in {"", "all"})


def _size(text: str) -> str:
    """`512x768` from `512×768`, `512 x 768`, `512*768`."""
    parts = text.replace("×", "x").replace("X", "x").replace("*", "x").split("x")
    try:
        width, height = (int(part.strip()) for part in parts)
    except ValueError:
        raise BadValues(f"{text!r} is no size such as 512x768") from None
    for side in (width, height):
        if not MIN_SIDE <= side <= MAX_SIDE or side % SIDE_STEP:
            raise BadValues(
                f"{text!r}: sides are multiples of {SIDE_STEP} from {MIN_SIDE} to {MAX_SIDE}; others A1111 changes"
            )
    if width * height > MAX_PIXELS:
        raise BadValues(f"{text!r} has more than {MAX_PIXELS // 1_000_000} megapixels")
    return f"{width}x{height}"


_ALL = (
    Kind("epoch", "The LoRA file saved after that epoch of a run; all = every one.", "whole", lora=True,
         low=1, high=100_000, may_be_all=True),
    Kind("weight", "How strongly the LoRA acts; 1 = as trained.", "number", lora=True, low=-2, high=4),
    Kind("version", "The version whose LoRA is drawn: v3, v4. Its trigger word comes with it.", lora=True),
    Kind("lora", "LoRA files by name; `a + b:0.5` is two at once, the second at weight 0.5; none = without.",
         lora=True),
    Kind("prompt", "Whole prompts."),
    Kind("replace", "Words of the prompt: the first value is what stands there, the others take its place."),
    Kind("prompt weight", "The weight of a phrase of the prompt: (phrase:1.2).", "number", low=0, high=10,
         needs="the phrase"),
    Kind("seed", "Seeds.", "whole", low=0, high=MAX_SEED),
    Kind("sampler", "Samplers as A1111 lists them; DPM++ 2M Karras brings its schedule."),
    Kind("scheduler", "Schedules as A1111 lists them."),
    Kind("steps", "Sampling steps.", "whole", low=1, high=MAX_STEPS),
    Kind("cfg", "How strictly the prompt is followed.", "number", low=1, high=MAX_CFG),
    Kind("size", "Width x height in pixels, multiples of 8.", check=_size),
    Kind("checkpoint", "Checkpoints as A1111 lists them."),
    Kind("vae", "VAE files as A1111 lists them, Automatic or None."),
    Kind("clip skip", "Last layers of the text encoder left out + 1.", "whole", low=1, high=12),
    Kind("denoise", "How far img2img leaves the init picture: 0 = not at all.", "number", low=0, high=1),
    Kind("negative prompt", "Whole negative prompts; an empty one is a value too."),
    Kind("styles", "Styles saved in the webui, several at once as `a + b`; none = without. Their text goes into the "
         "prompt."),
    Kind("option", "Any option of the webui, set for that picture alone.", needs="its name"),
)  # fmt: skip

#: Every kind by its name.
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
_ALIASES = {
    "epochs": "epoch", "weights": "weight", "lora weight": "weight", "versions": "version", "loras": "lora",
    "prompts": "prompt", "s/r": "replace", "prompt s/r": "replace", "seeds": "seed", "samplers": "sampler",
    "schedulers": "scheduler", "schedule": "scheduler", "schedule type": "scheduler", "step": "steps",
    "cfg scale": "cfg", "cfg_scale": "cfg", "sizes": "size", "checkpoints": "checkpoint", "model": "checkpoint",
    "vaes": "vae", "clip_skip": "clip skip", "denoising": "denoise", "denoising strength": "denoise",
    "denoising_strength": "denoise", "negative": "negative prompt", "negative_prompt": "negative prompt",
    "prompt_weight": "prompt weight", "style": "styles",
}  # fmt: skip


def read_kind(written: str) -> tuple[str, str]:
    """(kind, what it is of) from `steps`, `CFG Scale`, `option eta_ddim`, `prompt weight red hair`, `weight of red
    hair`. Raises `BadValues` with the kind that was probably meant.
    """
    text = " ".join(written.split())
    folded = text.casefold()
    for kind in (kind for kind in _ALL if kind.needs):
        for start in (kind.name, *(alias for alias, name in _ALIASES.items() if name == kind.name)):
            if folded == start or folded.startswith(f"{start} "):
                of = text[len(start) :].strip()
                return kind.name, of.removeprefix("of ").strip().strip("\"'")
    name = _ALIASES.get(folded, folded)
    if name in KINDS:
        return name, ""
    close = difflib.get_close_matches(folded, [*KINDS, *_ALIASES], n=1, cutoff=0.6)
    hint = f"did you mean {_ALIASES.get(close[0], close[0])!r}?" if close else f"there are: {', '.join(KINDS)}"
    raise BadValues(f"there is no kind of axis {text!r}; {hint}")


def label(name: str, kind: Kind, value: str) -> str:
    """A value in words: `epoch 40`, `sampler: Euler a`; long ones are cut off."""
    if kind.numeric:
        return f"{name} {value}"
    shown = " ".join(value.split()) or "(nothing)"
    return f"{name}: {shown if len(shown) <= 60 else shown[:57] + '…'}"
