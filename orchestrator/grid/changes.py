"""What is other than it was: the cells of a grid that would not be the same pictures any more, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest

from orchestrator.grid.cells import Grid
from orchestrator.grid.embedded import recipe_of
from orchestrator.grid.manifest import At, Axis, Entry, Manifest
from orchestrator.render.recipe import LoraUse, Recipe, number

#: Axis names and values of a place, whatever the order of the axes; None = the baseline.
Address = frozenset[tuple[str, str | None]]

LORA_RETRAINED = "LoRA retrained"
LORA_OTHER = "LoRA other"
LORA_MISSING = "LoRA missing"
WEIGHT_OTHER = "LoRA weight other"
CHECKPOINT_OTHER = "checkpoint other"
VAE_OTHER = "VAE other"
VERSION_OTHER = "A1111 version other"
SETTINGS_OTHER = "the webui's settings other"
PICTURE_GONE = "its picture is not here"
NOT_MADE = "not made last time"
NEW_CELL = "new in the grid"

#: How fields of a recipe are called; those that are not here keep their name.
_CALLED = {
    "checkpoint_hash": CHECKPOINT_OTHER,
    "vae_hash": VAE_OTHER,
    "server_version": VERSION_OTHER,
    "settings_hash": SETTINGS_OTHER,
    "negative_prompt": "negative prompt other",
    "cfg_scale": "CFG other",
    "clip_skip": "clip skip other",
    "init_sha256": "picture to vary other",
    "mask_sha256": "mask other",
    "denoising_strength": "denoise other",
}
#: Hashes nobody can compare at a glance are told by their first digits.
_HASHES = frozenset({"settings_hash", "init_sha256", "mask_sha256"})
_SHOWN_DIGITS = 10
#: Longest value told; a prompt is known by its beginning and by where it differs.
_LONG = 60


@dataclass(frozen=True)
class Reason:
    """Why a cell is another picture: `what` in a few words (`LoRA retrained`), and what `was` and `now` is."""

    what: str
    was: str = ""
    now: str = ""

    def __str__(self) -> str:
        if self.was and self.now:
            return f"{self.what}: was {self.was}, is {self.now}"
        if self.now:
            return f"{self.what}: {self.now}"
        return f"{self.what}: was {self.was}" if self.was else self.what


@dataclass(frozen=True)
class Change:
    """One cell that is not the picture it was."""

    at: At
    label: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Changes:
    """A grid held against what it was: cells that change, labels of cells that are gone, how many stay."""

    axes: tuple[Axis, ...]
    cells: tuple[Change, ...]
    gone: tuple[str, ...]
    unchanged: int

    def lines(self) -> list[str]:
        """In words, the same reason once: `12 cells (epoch 40): LoRA retrained: was 3fa2c1, is 99ab12`."""
        by_reason: dict[tuple[Reason, ...], list[At]] = {}
        for change in self.cells:
            by_reason.setdefault(change.reasons, []).append(change.at)
        told = []
        for reasons, places in by_reason.items():
            where = places_in_words(self.axes, places)
            count = "1 cell" if len(places) == 1 else f"{len(places):,} cells"
            told.append(f"{count}{f' ({where})' if where else ''}: {'; '.join(map(str, reasons))}")
        if self.gone:
            shown = ", ".join(self.gone[:3]) + (" …" if len(self.gone) > 3 else "")
            told.append(f"{len(self.gone):,} no longer in the grid: {shown}")
        return told


def changes(
    old: Manifest, new: Grid, is_made: Callable[[Recipe], bool], problems: Mapping[str, str] | None = None
) -> Changes:
    """`new` held against `old`. Cells are matched by the values of their axes, not by where they stand.

    A cell changes when its recipe has another key, when it was not made, and when its picture is there no more
    (`is_made`). `problems` says by key why a cell cannot be drawn. Cells that are left out by rule do not count.
    """
    before = {address(old.axes, entry.at): entry for entry in old.cells}
    found: list[Change] = []
    unchanged = 0
    seen = set()
    for cell in new.cells:
        here = address(new.axes, cell.at)
        seen.add(here)
        if cell.recipe is None:
            continue
        reasons = _reasons(old, before.get(here), cell.recipe, is_made)
        problem = (problems or {}).get(cell.recipe.key, "")
        if problem and not is_made(cell.recipe):
            reasons = (*reasons, Reason(f"cannot be drawn: {problem}"))
        if reasons:
            found.append(Change(cell.at, cell.label, reasons))
        else:
            unchanged += 1
    gone = tuple(entry.label for where, entry in before.items() if where not in seen and entry.recipe is not None)
    return Changes(new.axes, tuple(found), gone, unchanged)


def _reasons(old: Manifest, entry: Entry | None, now: Recipe, is_made: Callable[[Recipe], bool]) -> tuple[Reason, ...]:
    if entry is None or entry.recipe is None:
        return (Reason(NEW_CELL),)
    was = recipe_of(old, entry)
    if was is None:
        return (Reason(NEW_CELL),)
    if was.key != now.key:
        return differences(was, now)
    if entry.key and entry.key != now.key:
        return (Reason("orchestrator draws this recipe otherwise now"),)
    if is_made(now):
        return ()
    if entry.state != "ready":
        return (Reason(NOT_MADE, was=entry.reason),)
    return (Reason(PICTURE_GONE),)


def differences(was: Recipe, now: Recipe) -> tuple[Reason, ...]:
    """Everything in which `now` would be drawn otherwise than `was`; empty for recipes of the same key."""
    if was.key == now.key:
        return ()
    found = _lora_differences(was.loras, now.loras)
    for part in fields(Recipe):
        name = part.name
        before, after = getattr(was, name), getattr(now, name)
        if name == "loras" or not part.compare or before == after:
            continue
        called = _CALLED.get(name, f"{name.replace('_', ' ')} other")
        found.append(Reason(called, *_told(name, before, after, was, now)))
    return tuple(found)


def _lora_differences(was: Sequence[LoraUse], now: Sequence[LoraUse]) -> list[Reason]:
    found = []
    for before, after in zip_longest(was, now):
        if before is None or after is None:
            found.append(Reason(LORA_OTHER, before.stem if before else "none", after.stem if after else "none"))
            continue
        if before.sha256 != after.sha256:
            same_file = _name(before.stem) == _name(after.stem)
            shown = (_hash(before), _hash(after)) if same_file else (before.stem, after.stem)
            what = f"{LORA_RETRAINED} ({_name(after.stem)})" if same_file else LORA_OTHER
            found.append(Reason(what, *shown))
        if number(before.weight) != number(after.weight):
            found.append(Reason(WEIGHT_OTHER, number(before.weight), number(after.weight)))
    return found


def _name(stem: str) -> str:
    """The stem without the digits of its content that deploying adds: `ai_model_v4-000040`."""
    name, mark, digits = stem.rpartition("-")
    is_hash = mark and len(digits) >= 6 and not set(digits) - set("0123456789abcdef")
    # -000040 is an epoch: what comes before the digits of a deployed file ends in six figures.
    return name if is_hash and name[-7:-6] == "-" and name[-6:].isdecimal() else stem


def _hash(use: LoraUse) -> str:
    return use.sha256.removeprefix("model:")[:_SHOWN_DIGITS] or use.shown_hash


def _told(name: str, before: object, after: object, was: Recipe, now: Recipe) -> tuple[str, str]:
    if name == "checkpoint_hash":
        return _named(was.checkpoint, was.checkpoint_hash), _named(now.checkpoint, now.checkpoint_hash)
    if name == "vae_hash":
        return _named(was.vae, was.vae_hash), _named(now.vae, now.vae_hash)
    if name in _HASHES:
        return str(before)[:_SHOWN_DIGITS] or "none", str(after)[:_SHOWN_DIGITS] or "none"
    return _short(before, after)


def _named(title: str, digits: str) -> str:
    if not digits:
        return title or "none"
    return title if digits in title else f"{title} [{digits}]".strip()


def _short(before: object, after: object) -> tuple[str, str]:
    """Both values, long ones from a little before the place where they differ."""
    one, other = _value(before), _value(after)
    if max(len(one), len(other)) <= _LONG:
        return one or "none", other or "none"
    same = next((k for k, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1]), 0)
    start = max(0, same - _LONG // 3)
    return _cut(one, start), _cut(other, start)


def _value(value: object) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else str(value)


def _cut(text: str, start: int) -> str:
    shown = text[start : start + _LONG]
    return f"{'…' if start else ''}{shown}{'…' if start + _LONG < len(text) else ''}"


def address(axes: Sequence[Axis], at: At) -> Address:
    """The place `at` by the names and values of its axes."""
    return frozenset(
        (axis.name, None if index is None else axis.values[index]) for axis, index in zip(axes, at, strict=True)
    )


def places_in_words(axes: Sequence[Axis], places: Iterable[At]) -> str:
    """Where `places` lie, by the axes of which they do not take every value: `epoch 40, weight 0.6 and 0.8`.

    Empty when they take all values of every axis.
    """
    taken = [set(indexes) for indexes in zip(*places, strict=True)]
    words = []
    for axis, indexes in zip(axes, taken, strict=False):
        values = [axis.values[index] for index in sorted(index for index in indexes if index is not None)]
        if values and len(values) < len(axis.values):
            shown = values if len(values) <= 6 else [*values[:3], "…", values[-1]]
            bare = "no LoRA and " if None in indexes else ""
            words.append(f"{bare}{axis.name} {' and '.join(shown) if len(shown) == 2 else ', '.join(shown)}")
    return ", ".join(["no LoRA"] * ({None} in taken) + words)
