"""Axes of the x/y/z plot: how their values are read and what they change in a cell."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain
from typing import Any

from . import samplers
from .checkpoints import Checkpoints
from .dialects import A1111, Dialect
from .facts import table
from .failures import ServerError
from .job import Job, Kind

_WHOLE_RANGE = re.compile(r"^\s*([+-]?\s*\d+)\s*-\s*([+-]?\s*\d+)(?:\s*\(([+-]\d+)\s*\))?\s*$")
_WHOLE_COUNT = re.compile(r"^\s*([+-]?\s*\d+)\s*-\s*([+-]?\s*\d+)(?:\s*\[(\d+)\s*\])?\s*$")
_NUMBER = r"[+-]?\s*\d+(?:\.\d*)?"
_REAL_RANGE = re.compile(rf"^\s*({_NUMBER})\s*-\s*({_NUMBER})(?:\s*\(([+-]\d+(?:\.\d*)?)\s*\))?\s*$")
_REAL_COUNT = re.compile(rf"^\s*({_NUMBER})\s*-\s*({_NUMBER})(?:\s*\[(\d+(?:\.\d*)?)\s*\])?\s*$")
_SIZE = re.compile(r"^\s*(\d+)\s*x\s*(\d+)\s*$")
_RANDOM_BELOW = 4294967294

Apply = Callable[[Job, Any, Sequence[Any]], Job]


@dataclass(frozen=True)
class Axis:
    """`cost` decides which axis is the outermost loop; `menu` axes take their values from the dropdown argument."""

    label: str
    kind: type
    apply: Apply
    cost: float = 0.0
    menu: bool = False
    plain: bool = False
    """The legend shows the bare value instead of `Label: value`."""

    def legend(self, value: Any) -> str:
        """The words beside a row or above a column."""
        if self.label == "Nothing":
            return ""
        shown = round(value, 8) if isinstance(value, float) else value
        return str(shown) if self.plain else f"{self.label}: {shown}"


def _field(name: str) -> Apply:
    def apply(job: Job, value: Any, values: Sequence[Any]) -> Job:
        return replace(job, **{name: value})

    return apply


def _override(name: str) -> Apply:
    def apply(job: Job, value: Any, values: Sequence[Any]) -> Job:
        return replace(job, override_settings={**job.override_settings, name: value})

    return apply


def _replace_text(job: Job, value: Any, values: Sequence[Any]) -> Job:
    wanted = values[0]
    if wanted not in job.prompt and wanted not in job.negative_prompt:
        raise ServerError("RuntimeError", f"Prompt S/R did not find {wanted} in prompt or negative prompt.")
    return replace(
        job, prompt=job.prompt.replace(wanted, value), negative_prompt=job.negative_prompt.replace(wanted, value)
    )


def _size(job: Job, value: Any, values: Sequence[Any]) -> Job:
    found = _SIZE.match(value)
    return replace(job, width=int(found[1]), height=int(found[2])) if found else job


def _same(job: Job, value: Any, values: Sequence[Any]) -> Job:
    return job


_AXES = {
    axis.label: axis
    for axis in (
        Axis("Nothing", str, _same),
        Axis("Seed", int, _field("seed")),
        Axis("Var. seed", int, _field("subseed")),
        Axis("Var. strength", float, _field("subseed_strength")),
        Axis("Steps", int, _field("steps")),
        Axis("CFG Scale", float, _field("cfg_scale")),
        Axis("Prompt S/R", str, _replace_text, plain=True),
        Axis("Sampler", str, _field("sampler_name"), menu=True, plain=True),
        Axis("Checkpoint name", str, _override("sd_model_checkpoint"), cost=1.0, menu=True, plain=True),
        Axis("VAE", str, _override("sd_vae"), cost=0.7, menu=True),
        Axis("Schedule type", str, _field("scheduler"), menu=True),
        Axis("Clip skip", int, _override("CLIP_stop_at_last_layers")),
        Axis("Denoising", float, _field("denoising_strength")),
        Axis("Size", str, _size),
    )
}


def axis(kind: Kind, number: Any, dialect: Dialect = A1111) -> Axis:
    """The axis of a type number. Raises the server's TypeError or IndexError, NotImplementedError for an axis
    nobody simulated."""
    labels: list[str] = table("plot-axes", dialect.name)[kind]
    if isinstance(number, bool) or not isinstance(number, int):
        raise ServerError("TypeError", f"list indices must be integers or slices, not {type(number).__name__}")
    if not -len(labels) <= number < len(labels):
        raise ServerError("IndexError", "list index out of range")
    label = labels[number]
    if label not in _AXES:
        raise ServerError("NotImplementedError", f"this simulated server cannot vary the axis '{label}'")
    return _AXES[label]


def split(text: str) -> list[str]:
    """Comma-separated values, quotes around those that hold a comma."""
    rows = csv.reader(StringIO(text), skipinitialspace=True)
    return [value.strip() for value in chain.from_iterable(rows) if value]


def _whole(values: list[str]) -> list[int]:
    out: list[int] = []
    for value in values:
        if not value.strip():
            continue
        ranged, counted = _WHOLE_RANGE.match(value), _WHOLE_COUNT.match(value)
        if ranged:
            start, end = _int(ranged[1]), _int(ranged[2]) + 1
            step = int(ranged[3]) if ranged[3] else 1
            out += range(start, end if step > 0 else end - 2, step)
        elif counted:
            out += [int(number) for number in _spread(_int(counted[1]), _int(counted[2]), int(counted[3] or 1))]
        else:
            out.append(_int(value))
    return out


def _real(values: list[str]) -> list[float]:
    out: list[float] = []
    for value in values:
        if not value.strip():
            continue
        ranged, counted = _REAL_RANGE.match(value), _REAL_COUNT.match(value)
        if ranged:
            start, end, step = float(ranged[1]), float(ranged[2]), float(ranged[3] or 1)
            count = int((end - start) / step + 1e-9) + 1 if step else 0
            out += [start + k * step for k in range(max(count, 0))]
        elif counted:
            out += _spread(float(counted[1]), float(counted[2]), int(float(counted[3] or 1)))
        else:
            out.append(_float(value))
    return out


def _int(text: str) -> int:
    try:
        return int(text.replace(" ", ""))
    except ValueError as wrong:
        raise ServerError("ValueError", str(wrong)) from None


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as wrong:
        raise ServerError("ValueError", str(wrong)) from None


def _spread(start: float, end: float, count: int) -> list[float]:
    return [start] if count < 2 else [start + (end - start) * k / (count - 1) for k in range(count)]


def values(chosen: Axis, text: Any, menu: Any, csv_mode: bool) -> list[Any]:
    """The values of one axis; empty when they were put into the wrong argument. Raises ServerError for
    unreadable ones."""
    if chosen.label == "Nothing":
        return [0]
    raw = list(menu or []) if chosen.menu and not csv_mode else split(text if isinstance(text, str) else "")
    if chosen.kind is int:
        return list(_whole([str(value) for value in raw]))
    if chosen.kind is float:
        return list(_real([str(value) for value in raw]))
    return [str(value) for value in raw]


def confirm(chosen: Axis, found: Sequence[Any], checkpoints: Checkpoints, dialect: Dialect) -> None:
    """Refuse names that do not exist, before the first cell."""
    for value in found:
        if chosen.label == "Sampler" and not samplers.plot_knows(value, dialect):
            raise ServerError("RuntimeError", f"Unknown sampler: {value}")
        if chosen.label == "Checkpoint name" and checkpoints.find(value) is None:
            raise ServerError("RuntimeError", f"Unknown checkpoint: {value}")


def fix_seeds(chosen: Axis, found: list[Any]) -> list[Any]:
    """-1 on a seed axis becomes one random seed per value."""
    if chosen.label not in {"Seed", "Var. seed"}:
        return found
    return [random.randrange(_RANDOM_BELOW) if value in (None, "", -1) else value for value in found]
