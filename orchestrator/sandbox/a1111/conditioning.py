"""Which LoRAs act on a picture and how much, with the stale text-encoder trap of the real server."""

from __future__ import annotations

from typing import Any

from .card import Card
from .loras import LoraShelf
from .prompts import LoraTag
from .settings import Settings

TEXT_ENCODER_SHARE = 0.25
"""How much of a LoRA's effect sits in the text encoder: decides how much a stale conditioning spoils."""

Effects = tuple[tuple[Any, float], ...]


class Conditioning:
    """Remembers the LoRAs and the text-encoder part of the request before."""

    def __init__(self, shelf: LoraShelf, card: Card, settings: Settings) -> None:
        self._shelf = shelf
        self._card = card
        self._settings = settings
        self._before: list[tuple[str, float, float, float]] = []
        self._kept: tuple[Any, list[tuple[Any, float]]] | None = None

    def forget_model(self) -> None:
        """Another checkpoint was loaded: every LoRA has to be applied again."""
        self._before = []

    def loras(self, tags: tuple[LoraTag, ...], key: Any) -> tuple[Effects, dict[str, str], bool]:
        """(what the painter gets, name as written -> short hash as the server tells it, whether NaNs come of it).

        `key` holds everything else the server's cache of the last conditioning looks at (prompt, steps, size,
        checkpoint). The files behind the tags are no part of it: the same prompt sent again after a file appeared
        or changed runs with the old text-encoder part and the new UNet part.
        """
        found = self._shelf.load(tags)
        now = [(one.name, one.mtime, text, unet) for one, text, unet in found]
        if [entry[:2] for entry in now] != [entry[:2] for entry in self._before]:
            self._card.owe(self._settings.lora_switch_seconds)
        elif now != self._before:
            self._card.owe(self._settings.lora_weight_seconds)
        self._before = now
        acting = [(one, text, unet) for one, text, unet in found if one.weights.fits]
        fresh = [(one.learned, text) for one, text, _ in acting]
        if self._kept is None or self._kept[0] != (key, tags):
            self._kept = ((key, tags), fresh)
        old = self._kept[1]
        if len(old) == len(fresh) and all(a[0] is b[0] for a, b in zip(old, fresh, strict=True)):
            effects = [(one.learned, unet + (text - unet) * TEXT_ENCODER_SHARE) for one, text, unet in acting]
        else:
            effects = [(one.learned, unet * (1 - TEXT_ENCODER_SHARE)) for one, _, unet in acting]
            effects += [(learned, weight * TEXT_ENCODER_SHARE) for learned, weight in old]
        hashes = {one.name.replace(":", "").replace(",", ""): one.shown_hash for one, _, _ in found if one.shown_hash}
        broken = any(not one.weights.finite and (text, unet) != (0, 0) for one, text, unet in found)
        return tuple((learned, weight) for learned, weight in effects if weight != 0), hashes, broken
