"""Cells as people write them: `epoch=40,weight=0.8,seed=123`; `no LoRA,seed=123` is the baseline.

Axes are called by their name or kind; an axis of one value may be left out. A value is written as it stands on the
axis, as an equal number, or as `#2`, the second one, where it is a whole prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.errors import InputError
from orchestrator.grid.manifest import At, Axis, Manifest

_BARE = frozenset({"no lora", "nolora", "no-lora", "baseline", "lora=none", "without lora"})
_SHOWN = 12


def read_cell(text: str, manifest: Manifest) -> At:
    """The place that `text` names. Raises `InputError` when it names none, or more than one."""
    chosen, problems = _read(text, manifest)
    missing = []
    for index, axis in enumerate(manifest.axes):
        if index not in chosen:
            if len(axis.values) == 1:
                chosen[index] = 0
            else:
                missing.append(f"{axis.name}={axis.values[0]}")
    bare = any(chosen.get(index, 0) is None for index in range(len(manifest.axes)))
    if bare:
        missing = [one for one in missing if not _lora_axis(manifest, one)]
    if missing and not problems:
        problems.append(f"it does not say which {_listed([one.partition('=')[0] for one in missing])}")
    if problems:
        raise _refused(text, manifest, problems)
    at = tuple(None if bare and axis.lora else chosen[index] for index, axis in enumerate(manifest.axes))
    if at not in manifest.by_place:
        raise _refused(text, manifest, ["the grid has no baseline" if bare else "the grid has no such cell"])
    return at


def read_values(text: str, manifest: Manifest) -> dict[int, int | None]:
    """The axes that `text` names, by index, each with the index of its value; None on every LoRA axis where it says `no
    LoRA`. Raises `InputError`.
    """
    chosen, problems = _read(text, manifest)
    if problems:
        raise _refused(text, manifest, problems)
    return chosen


def find_axis(name: str, manifest: Manifest) -> int:
    """The index of the axis of that name or kind. Raises `InputError`."""
    index = _axis(name, manifest.axes)
    if index is None:
        raise InputError(
            f"The grid {manifest.name} has no axis {name!r}.",
            fix=f"Its axes are: {', '.join(axis.name for axis in manifest.axes)}.",
        )
    return index


def address_of(at: At, manifest: Manifest) -> str:
    """A place as `read_cell` reads it, without the axes of one value."""
    parts = ["no LoRA"] if None in at else []
    for index, axis in zip(at, manifest.axes, strict=True):
        if index is not None and len(axis.values) > 1:
            value = axis.values[index]
            plain = value.strip() and len(value) <= 40 and not re.search(r"[,=#\n]", value)
            parts.append(f"{axis.name}={value if plain else f'#{index + 1}'}")
    return ",".join(parts)


def _read(text: str, manifest: Manifest) -> tuple[dict[int, int | None], list[str]]:
    chosen: dict[int, int | None] = {}
    problems: list[str] = []
    for part in _parts(text, manifest.axes):
        if " ".join(part.casefold().split()) in _BARE:
            chosen.update({index: None for index, axis in enumerate(manifest.axes) if axis.lora})
            continue
        name, equals, value = part.partition("=")
        index = _axis(name, manifest.axes)
        if not equals:
            problems.append(f"{part.strip()!r} is not written as axis=value")
        elif index is None:
            problems.append(f"there is no axis {name.strip()!r}")
        elif (found := _value(value, manifest.axes[index])) is None:
            problems.append(f"{manifest.axes[index].name} has no value {value.strip()!r}")
        elif index in chosen:
            problems.append(f"{manifest.axes[index].name} is said twice")
        else:
            chosen[index] = found
    return chosen, problems


def _parts(text: str, axes: Sequence[Axis]) -> list[str]:
    """`text` cut at the commas behind which an axis is named: values hold commas themselves."""
    parts: list[str] = []
    for piece in text.split(","):
        name, equals, _ = piece.partition("=")
        starts = (equals and _axis(name, axes) is not None) or " ".join(piece.casefold().split()) in _BARE
        if not parts or starts or "=" not in parts[-1]:
            parts.append(piece)
        else:
            parts[-1] += f",{piece}"
    return [part for part in parts if part.strip()]


def _axis(name: str, axes: Sequence[Axis]) -> int | None:
    wanted = _plain(name)
    for text in ("name", "kind"):
        found = [index for index, axis in enumerate(axes) if _plain(getattr(axis, text)) == wanted]
        if len(found) == 1:
            return found[0]
    return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def _value(text: str, axis: Axis) -> int | None:
    wanted = text.strip()
    if wanted in axis.values:
        return axis.values.index(wanted)
    if re.fullmatch(r"#\d+", wanted) and 1 <= int(wanted[1:]) <= len(axis.values):
        return int(wanted[1:]) - 1
    same = [index for index, value in enumerate(axis.values) if _plain(value) == _plain(wanted)]
    if len(same) == 1:
        return same[0]
    try:
        number = float(wanted)
        same = [index for index, value in enumerate(axis.values) if float(value) == number]
    except ValueError:
        return None
    return same[0] if len(same) == 1 else None


def _lora_axis(manifest: Manifest, missing: str) -> bool:
    return any(axis.lora and missing.startswith(f"{axis.name}=") for axis in manifest.axes)


def _refused(text: str, manifest: Manifest, problems: Sequence[str]) -> InputError:
    example = next((address_of(entry.at, manifest) for entry in manifest.cells if None not in entry.at), "")
    axes = "; ".join(f"{axis.name}: {_listed(axis.values)}" for axis in manifest.axes)
    return InputError(
        f"{text!r} names no cell of the grid {manifest.name}: {', and '.join(problems)}.",
        cause=f"The grid has {axes}.",
        fix=f"Write cells like {example}" + (", or no LoRA for the baseline." if manifest.baseline else "."),
    )


def _listed(values: Sequence[str]) -> str:
    short = [value if len(value) <= 40 else f"{value[:39]}…" for value in values[:_SHOWN]]
    return ", ".join(short) + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")
