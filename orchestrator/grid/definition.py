"""What was asked for: enough to plan the same grid again, on this machine or another, from plain JSON.

A definition keeps values as they were written (`10-80 (+10)`, `all`), prompts as templates and rules as text, so that
whoever reads it a year later sees what was meant and not only what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from orchestrator.errors import InputError
from orchestrator.grid.axes import read_kind
from orchestrator.grid.axis_values import BadValues
from orchestrator.profile.model import Excluded, GridPlan, Profile

#: Raised when an older reader would misread a newer definition.
FORMAT = 1


@dataclass(frozen=True)
class AskedAxis:
    """An axis as it was written. `of` is what the kinds that need it are of: an option's name, a phrase."""

    kind: str
    values: str | tuple[str | int | float, ...]
    name: str = ""
    of: str = ""


@dataclass(frozen=True)
class FurtherLora:
    """A LoRA file that all cells but the baseline are drawn with, besides the one under test."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Subject:
    """Whose LoRA it is; `trigger` may hold {name} and {version}. The version axis puts its own version in."""

    name: str = ""
    version: str = ""
    trigger: str = ""

    def words(self, version: str = "") -> dict[str, str]:
        """What fills {name}, {version} and {trigger}."""
        version = version or self.version
        trigger = self.trigger.replace("{name}", self.name).replace("{version}", version)
        return {"trigger": trigger, "name": self.name, "version": version}

    def run(self, version: str = "") -> str:
        """The name of a version's training run."""
        return f"{self.name}_{version or self.version}"


@dataclass(frozen=True)
class Settings:
    """What every cell has unless an axis says otherwise; names as in lora.toml."""

    sampler: str = "DPM++ 2M"
    scheduler: str = "Karras"
    steps: int = 28
    cfg_scale: float = 6.0
    width: int = 512
    height: int = 512
    clip_skip: int = 1
    checkpoint: str = ""
    vae: str = ""
    denoising_strength: float = 0.45


@dataclass(frozen=True)
class Definition:
    """A grid as it was asked for.

    `x` and `y` name the axes that lie across and down (empty = chosen); `baseline` None = where there is a LoRA axis.
    `init` is the picture img2img starts from: relative to the workspace, or absolute.
    """

    name: str
    axes: tuple[AskedAxis, ...]
    prompt: str = ""
    negative_prompt: str = ""
    x: str = ""
    y: str = ""
    baseline: bool | None = None
    exclude: tuple[str, ...] = ()
    subject: Subject = field(default_factory=Subject)
    loras: tuple[FurtherLora, ...] = ()
    init: str = ""
    settings: Settings = field(default_factory=Settings)


def to_dict(definition: Definition) -> dict[str, Any]:
    """Plain values for JSON; `from_dict` is the inverse."""
    return {"format": FORMAT, **asdict(definition)}


def from_dict(values: Mapping[str, Any]) -> Definition:
    """A definition from `to_dict`'s values. Raises `InputError` for anything else: it may come from a stranger's
    sheet.
    """
    try:
        if values["format"] != FORMAT:
            raise ValueError(f"it is written in format {values['format']!r}, and this version reads {FORMAT}")
        parts = {part.name: values[part.name] for part in fields(Definition) if part.name in values}
        parts["axes"] = tuple(
            AskedAxis(**_only(AskedAxis, axis, {"values": _written(axis["values"])})) for axis in values["axes"]
        )
        parts["exclude"] = tuple(map(_text, values.get("exclude", ())))
        parts["subject"] = Subject(**_only(Subject, values.get("subject", {})))
        parts["loras"] = tuple(
            FurtherLora(_text(lora["name"]), float(lora.get("weight", 1))) for lora in values.get("loras", ())
        )
        parts["settings"] = Settings(**_only(Settings, values.get("settings", {})))
        for name in ("name", "prompt", "negative_prompt", "x", "y", "init"):
            parts[name] = _text(parts.get(name, ""))
        if not isinstance(parts.get("baseline"), bool | None):
            raise TypeError("baseline is neither true nor false")
        return Definition(**parts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"This is no definition of a grid that can be read: {error}.") from error


def _only(kind: type, values: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of `kind` in `values`, each of the type its default has."""
    found = {}
    for part in fields(kind):
        if more and part.name in more:
            found[part.name] = more[part.name]
        elif part.name in values:
            value = values[part.name]
            default = part.default
            if isinstance(default, float) and type(value) is int:
                value = float(value)
            expected = type(default) if isinstance(default, str | int | float) else str
            if type(value) is not expected:
                raise TypeError(f"{part.name} is {value!r}")
            found[part.name] = value
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _written(values: Any) -> str | tuple[str | int | float, ...]:
    if isinstance(values, str):
        return values
    if not all(type(value) in {str, int, float} for value in values):
        raise TypeError("an axis has a value that is neither text nor number")
    return tuple(values)


def from_profile(profile: Profile, grid: GridPlan) -> Definition:
    """The definition of one of the profile's grids."""
    generation = profile.generation
    return Definition(
        name=grid.name,
        axes=_axes_of(grid),
        prompt=grid.prompt,
        negative_prompt=generation.negative_prompt if grid.negative_prompt is None else grid.negative_prompt,
        x=grid.x,
        y=grid.y,
        baseline=grid.baseline,
        exclude=tuple(rule.rule if isinstance(rule, Excluded) else rule for rule in grid.exclude),
        subject=Subject(profile.subject.name, profile.subject.version, profile.subject.trigger),
        loras=tuple(FurtherLora(lora.name, lora.weight) for lora in grid.loras),
        init=grid.init,
        settings=Settings(
            sampler=generation.sampler,
            scheduler=generation.scheduler,
            steps=generation.steps,
            cfg_scale=generation.cfg_scale,
            width=generation.width,
            height=generation.height,
            clip_skip=generation.clip_skip,
            checkpoint=profile.base.checkpoint,
            vae=profile.base.vae,
            denoising_strength=grid.denoising_strength,
        ),
    )


def _axes_of(grid: GridPlan) -> tuple[AskedAxis, ...]:
    """The axes of a profile's grid. The short form (epochs, weights, seeds) is epoch × weight × seed; where `axes` are
    given, its parts count only when they were written.
    """
    given = list(_general(grid))
    kinds = {axis.kind for axis in given}
    short = [("epoch", "epochs", grid.epochs or "all"), ("weight", "weights", grid.weights)]
    before = [
        AskedAxis(kind, values)
        for kind, key, values in short
        if kind not in kinds and (key in grid.model_fields_set or not given)
    ]
    after = [] if "seed" in kinds else [AskedAxis("seed", tuple(grid.seeds))]
    return (*before, *given, *after)


def _general(grid: GridPlan) -> Sequence[AskedAxis]:
    if isinstance(grid.axes, Mapping):
        return [asked(key, values if isinstance(values, str) else _listed(values)) for key, values in grid.axes.items()]
    return [
        AskedAxis(axis.kind, axis.values if isinstance(axis.values, str) else _listed(axis.values), axis.name, axis.of)
        for axis in grid.axes
    ]


def _listed(values: Any) -> tuple[str | int | float, ...]:
    return tuple(values) if isinstance(values, list | tuple) else (values,)


def asked(kind: str, values: str | tuple[str | int | float, ...]) -> AskedAxis:
    """An axis from its kind as people write it (`steps`, `option eta_ddim`). A kind there is not stays as it is, to be
    told with everything else that is wrong.
    """
    try:
        name, of = read_kind(kind)
    except BadValues:
        return AskedAxis(kind, values)
    return AskedAxis(name, values, of=of)


def from_command_line(text: str) -> AskedAxis:
    """An axis from `KIND=VALUES`, as `--axis` takes it: `steps=10-40 (+10)`. Raises `InputError`."""
    kind, equals, values = text.partition("=")
    if not equals:
        raise InputError(f"{text!r} is no axis.", fix='Write it as KIND=VALUES: --axis "steps=10-40 (+10)"')
    return asked(kind, values.strip())


def further_lora(text: str) -> FurtherLora:
    """A further LoRA from `NAME` or `NAME:WEIGHT`, as `--lora` takes it. Raises `InputError`."""
    name, colon, weight = text.rpartition(":")
    try:
        return FurtherLora(name, float(weight)) if colon else FurtherLora(text)
    except ValueError:
        raise InputError(f"{weight!r} is no weight.", fix="Write it as NAME or NAME:0.5") from None
