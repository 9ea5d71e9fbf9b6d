"""The recipe: everything that decides one picture, and the key that names it.

The key names content, not paths: a LoRA by the hash of its file, the checkpoint by its hash, an init picture by its
bytes. A LoRA that was trained again under the same name gives another key; a file that was only renamed gives the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

#: Part of every key: raised when a change of ours would draw another picture from the same recipe.
RECIPE_FORMAT = 2


@dataclass(frozen=True)
class LoraUse:
    """One LoRA in a picture. `sha256` names the file's content, `shown_hash` is what A1111 shows of it (12 digits)."""

    stem: str
    sha256: str
    shown_hash: str
    weight: float

    @property
    def tag(self) -> str:
        """The tag as it stands in the prompt. A1111 takes any float; two weights that differ must differ as text
        too.
        """
        return f"<lora:{self.stem}:{number(self.weight)}>"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides one picture.

    `batch_size` > 1 draws other pixels than 1 (by a level here and there, measured), so it is part of the recipe; the
    picture is number `batch_position` (from 0) of its batch, whose first has the seed `seed - batch_position`.
    `alwayson_scripts` is the JSON text of what goes to extensions (ADetailer, ControlNet …), empty = nothing.
    `options` likewise is the JSON text of the webui's options that are set for this picture alone.
    `server_version` names the fork and its version, which draw other pixels; `settings_hash` the webui's settings that
    do and that no request can override.

    The fields that are not compared are not in the key: they only tell A1111 or us where the content is that the hashes
    name.
    """

    prompt: str
    negative_prompt: str = ""
    loras: tuple[LoraUse, ...] = ()
    seed: int = 0
    steps: int = 28
    cfg_scale: float = 6.0
    sampler: str = "DPM++ 2M"
    scheduler: str = "Karras"
    width: int = 512
    height: int = 512
    clip_skip: int = 1
    checkpoint_hash: str = ""
    vae_hash: str = ""
    server_version: str = ""
    settings_hash: str = ""
    init_sha256: str = ""
    denoising_strength: float | None = None
    mask_sha256: str = ""
    mask_blur: int = 4
    batch_size: int = 1
    batch_position: int = 0
    alwayson_scripts: str = ""
    options: str = ""
    checkpoint: str = field(default="", compare=False)
    vae: str = field(default="", compare=False)
    init_path: Path | None = field(default=None, compare=False)
    mask_path: Path | None = field(default=None, compare=False)

    @property
    def tagged_prompt(self) -> str:
        """The prompt as A1111 gets it, with the LoRA tags in front."""
        return " ".join([*(lora.tag for lora in self.loras), self.prompt]) if self.loras else self.prompt

    @property
    def own_options(self) -> dict[str, Any]:
        """The webui's options set for this picture alone."""
        return dict(json.loads(self.options)) if self.options else {}

    @cached_property
    def key(self) -> str:
        """The sha256 (64 hex digits) of the canonical recipe. Raises ValueError for NaN or infinite numbers."""
        return hashlib.sha256(canonical(self).encode("utf-8")).hexdigest()

    def evolve(self, **changes: Any) -> Recipe:
        """A copy with some fields changed. Raises TypeError for a field there is not."""
        if unknown := changes.keys() - _FIELDS:
            raise TypeError(f"a recipe has no {', '.join(sorted(unknown))}")
        # `dataclasses.replace` takes ten times as long, and a grid makes a hundred thousand of these.
        values = {**self.__dict__, **changes}
        values.pop("key", None)
        changed = object.__new__(Recipe)
        changed.__dict__.update(values)
        return changed

    def small(self, side: int, steps: int, seed: int = 1) -> Recipe:
        """A small txt2img picture (pixels a side) with the same checkpoint, sampler, prompt and LoRA: for probes."""
        return self.evolve(
            seed=seed, width=side, height=side, steps=steps, init_sha256="", mask_sha256="", denoising_strength=None,
            batch_size=1, batch_position=0, alwayson_scripts="",
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        # `asdict` would copy every value deeply.
        values: dict[str, Any] = {name: getattr(self, name) for name in _IN_ORDER}
        values["loras"] = [asdict(lora) for lora in self.loras]
        for place in ("init_path", "mask_path"):
            values[place] = str(values[place]) if values[place] else None
        return values


def from_dict(values: dict[str, Any]) -> Recipe:
    """A recipe from `Recipe.to_dict`'s values."""
    known = {**values, "loras": tuple(LoraUse(**lora) for lora in values.get("loras", ()))}
    for place in ("init_path", "mask_path"):
        known[place] = Path(values[place]) if values.get(place) else None
    return Recipe(**known)


def canonical(recipe: Recipe) -> str:
    """The text the key is made from: sorted JSON; numbers that are equal are written equally (1 and 1.0).

    What stands before the seed and behind it is kept: most of what the cells of a grid say is the same. Raises
    ValueError for NaN or infinite numbers.
    """
    return (
        f'{{{_written(_BEFORE_SEED, _before(recipe))},"seed":{recipe.seed},{_written(_BEHIND_SEED, _behind(recipe))}}}'
    )


_IN_ORDER = tuple(part.name for part in fields(Recipe))
_FIELDS = frozenset(_IN_ORDER)
#: Fields that came later and are in the key only where they say something, so that older keys stay as they were.
_WHEN_GIVEN = frozenset({"options"})
_KEYED = sorted(part.name for part in fields(Recipe) if part.compare)
_BEFORE_SEED = tuple(name for name in _KEYED if name < "seed")
_BEHIND_SEED = tuple(name for name in _KEYED if name > "seed")
_before, _behind = attrgetter(*_BEFORE_SEED), attrgetter(*_BEHIND_SEED)


@lru_cache(maxsize=8192)
def _written(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    """`"name":value` for each, without the braces; the format stands in its place among those before the seed."""
    said = {name: value for name, value in zip(names, values, strict=True) if value or name not in _WHEN_GIVEN}
    if "loras" in said:
        said["loras"] = _named(said["loras"])
        said["format"] = RECIPE_FORMAT
    text = json.dumps(equal_numbers(said), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text[1:-1]


def _named(loras: tuple[LoraUse, ...]) -> list[dict[str, str]]:
    # Neither the stem nor the shown hash decides a pixel; the file's content and the weight do. A1111 keeps the tag's
    # text out of CLIP.
    # The weight as it stands in the tag: two that give the same tag draw the same picture.
    return [{"sha256": use.sha256, "weight": number(use.weight)} for use in loras if number(use.weight) != "0"]


def equal_numbers(value: Any) -> Any:
    """`value` for JSON, with whole numbers written as such wherever they stand: 1 and 1.0 give the same text."""
    if isinstance(value, Mapping):
        return {key: equal_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [equal_numbers(inner) for inner in value]
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def number(value: float) -> str:
    """A number as the field writes it: 0.8, 1, -0.25; never an exponent, which A1111's prompt parser does not read."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


_LORA_TAG = re.compile(r"<\s*(lora|lyco)\s*:", re.IGNORECASE)


def has_lora_tag(prompt: str) -> bool:
    """Whether a prompt carries a LoRA tag of its own, which our recipe would not know of."""
    return _LORA_TAG.search(prompt) is not None
