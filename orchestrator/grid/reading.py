"""A definition, read: every axis with its values, the prompts with their slots, the rules, and all that is wrong.

Nothing here asks a server or makes a cell, so whatever a person got wrong in a grid's definition can be said at once,
and a grid of ten million cells is counted without being made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import InputError
from orchestrator.grid.axes import KINDS, Kind, read_kind
from orchestrator.grid.axis_values import BadValues
from orchestrator.grid.definition import AskedAxis, Definition
from orchestrator.grid.exclusion import BadRule, Rule
from orchestrator.grid.exclusion import read as read_rule
from orchestrator.grid.templates import Collision, Phrase, Template, template

#: Cells of one grid at most: beyond, plan and manifest would not fit into memory, and no night is that long.
MOST_CELLS = 1_000_000
#: More cells than this are asked back: `--yes`.
MANY_CELLS = 10_000


@dataclass(frozen=True)
class ReadAxis:
    """An axis whose values were read. Without values it has all there are (every epoch)."""

    kind: Kind
    name: str
    values: tuple[str, ...]
    of: str = ""


@dataclass(frozen=True)
class Reading:
    """A definition as it was understood. With `problems` it must not be planned."""

    definition: Definition
    axes: tuple[ReadAxis, ...]
    x: int
    y: int
    baseline: bool
    prompts: tuple[Template, ...]
    negatives: tuple[Template, ...]
    rules: tuple[Rule, ...]
    problems: tuple[str, ...]

    def index(self, kind: str) -> int | None:
        """Where the axis of that kind stands; None where there is none."""
        return next((k for k, axis in enumerate(self.axes) if axis.kind.name == kind), None)

    def values(self, kind: str) -> tuple[str, ...]:
        """The values of that kind; empty where there is no such axis."""
        index = self.index(kind)
        return () if index is None else self.axes[index].values

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions whose runs have the LoRA files under test; empty where none are of a run."""
        if self.index("version") is not None:
            return self.values("version")
        of_a_run = self.index("epoch") is not None or (self.index("weight") is not None and self.index("lora") is None)
        return (self.definition.subject.version,) if of_a_run else ()

    @property
    def phrases(self) -> tuple[Phrase, ...]:
        """The words that axes change."""
        return tuple(_phrases(self.axes))


def read(definition: Definition) -> Reading:
    """Read `definition`. What is wrong with it comes as `Reading.problems`, all of it."""
    problems: list[str] = []
    axes = _axes(definition, problems)
    if not axes:
        problems.append('it has no axis: give one, for example steps = "10-40 (+10)"')
    baseline = _baseline(definition, axes, problems)
    prompts = _templates(_prompts(definition, axes, problems), axes, problems)
    negatives = _templates(_of(axes, "negative prompt") or (definition.negative_prompt,), axes, problems)
    _all_occur(axes, prompts, negatives, problems)
    if _of(axes, "denoise") and not definition.init:
        problems.append("denoise needs a picture to start from: name it as `init` (--init)")
    # Every epoch there is counts as one here; the plan counts again.
    lengths = [max(1, len(axis.values)) for axis in axes]
    if too_many := size_problem(count(lengths, [axis.kind.lora for axis in axes], baseline=baseline)):
        problems.append(too_many)
    x, y = _placement(definition, axes, problems)
    return Reading(
        definition=definition,
        axes=tuple(axes),
        x=x,
        y=y,
        baseline=baseline,
        prompts=tuple(prompts),
        negatives=tuple(negatives),
        rules=tuple(_rules(definition, axes, problems)),
        problems=tuple(dict.fromkeys(problems)),
    )


def refuse(name: str, problems: Iterable[str]) -> None:
    """Raise one `InputError` for all of `problems`, if there are any."""
    listed = list(dict.fromkeys(problems))
    if listed:
        count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
        lines = "\n".join(f"  {problem}" for problem in listed)
        raise InputError(
            f"Grid {name} has {count}:\n{lines}", fix="Nothing was drawn. Correct what is listed and run it again."
        )


def count(lengths: Sequence[int], lora: Sequence[bool], *, baseline: bool) -> int:
    """How many cells a grid has whose axes have these lengths: without making any of them."""
    without = math.prod(n for n, is_lora in zip(lengths, lora, strict=True) if not is_lora)
    return math.prod(lengths) + (without if baseline else 0)


def size_problem(cells: int) -> str:
    """What is wrong with that many cells; empty = nothing."""
    if cells <= MOST_CELLS:
        return ""
    return f"{cells:,} cells are more than any grid has ({MOST_CELLS:,}): name fewer values, or make several grids"


def _axes(definition: Definition, problems: list[str]) -> list[ReadAxis]:
    axes: list[ReadAxis] = []
    for asked in definition.axes:
        place = f"axis {asked.name or asked.kind}"
        try:
            kind = KINDS[read_kind(asked.kind)[0]]
        except BadValues as error:
            problems.append(str(error))
            continue
        if kind.needs and not asked.of:
            problems.append(f"{place}: say {kind.needs}, as `{kind.name} {kind.needs.split()[-1].upper()}`")
            continue
        try:
            values = kind.read(asked.values)
        except BadValues as error:
            problems.append(f"{place}: {error}")
            continue
        axes.append(ReadAxis(kind, _name(asked, kind, values), values, asked.of))
    return _told_apart(axes, problems)


def _name(asked: AskedAxis, kind: Kind, values: Sequence[str]) -> str:
    if asked.name:
        return asked.name
    if kind.name == "replace":
        return values[0] or "replace"
    if kind.name == "prompt weight":
        return f"weight of {asked.of}"
    return asked.of or kind.name


def _told_apart(axes: Sequence[ReadAxis], problems: list[str]) -> list[ReadAxis]:
    """`axes` with names of their own. Only kinds that are of something may stand twice."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    kept: list[ReadAxis] = []
    for axis in axes:
        what = axis.values[0] if axis.kind.name == "replace" else axis.of
        if (axis.kind.name, what) in seen:
            problems.append(f"axis {axis.name}: there are two axes of that kind")
            continue
        if axis.kind.name == "replace" and not axis.values[0]:
            problems.append("axis replace: its first value is what stands in the prompt, and must not be empty")
            continue
        seen.add((axis.kind.name, what))
        name, number = axis.name, 2
        while name in names:
            name, number = f"{axis.name} {number}", number + 1
        names.add(name)
        kept.append(axis if name == axis.name else replace(axis, name=name))
    return kept


def _of(axes: Sequence[ReadAxis], kind: str) -> tuple[str, ...]:
    return next((axis.values for axis in axes if axis.kind.name == kind), ())


def _baseline(definition: Definition, axes: Sequence[ReadAxis], problems: list[str]) -> bool:
    has_lora = any(axis.kind.lora for axis in axes)
    if definition.baseline and not has_lora:
        problems.append("a baseline goes without the LoRA under test, and no axis varies one: leave `baseline` out")
    return has_lora if definition.baseline is None else definition.baseline and has_lora


def _prompts(definition: Definition, axes: Sequence[ReadAxis], problems: list[str]) -> tuple[str, ...]:
    if values := _of(axes, "prompt"):
        return values
    if not definition.prompt:
        problems.append("give a prompt, or an axis of prompts")
    return (definition.prompt,)


def _phrases(axes: Iterable[ReadAxis]) -> list[Phrase]:
    found = []
    for axis in axes:
        if axis.kind.name == "replace":
            found.append(Phrase(axis.name, axis.values[0]))
        elif axis.kind.name == "prompt weight":
            found.append(Phrase(axis.name, axis.of, weighted=True))
    return found


def _templates(prompts: Sequence[str], axes: Sequence[ReadAxis], problems: list[str]) -> list[Template]:
    templates = []
    for prompt in prompts:
        try:
            templates.append(template(prompt, _phrases(axes)))
        except Collision as error:
            problems.append(f"axes {error}")
            templates.append(Template((prompt,)))
    return templates


def _all_occur(
    axes: Sequence[ReadAxis], prompts: Sequence[Template], negatives: Sequence[Template], problems: list[str]
) -> None:
    """A phrase must stand in every prompt (or in every negative one): an axis that changes nothing draws one picture
    many times and shows it as many.
    """
    for phrase in _phrases(axes):
        if all(phrase in each.phrases for each in negatives):
            continue
        missing = [number for number, each in enumerate(prompts, start=1) if phrase not in each.phrases]
        if missing:
            where = "the prompt" if len(prompts) == 1 else f"prompt {', '.join(map(str, missing))}"
            problems.append(f"axis {phrase.axis}: {phrase.words!r} does not stand in {where} as whole words")


def _rules(definition: Definition, axes: Sequence[ReadAxis], problems: list[str]) -> list[Rule]:
    numeric: Mapping[str, bool] = {axis.name: axis.kind.numeric for axis in axes}
    rules = []
    for text in definition.exclude:
        try:
            rules.append(read_rule(text, numeric))
        except BadRule as error:
            problems.append(f"exclude {text!r}: {error}")
    return rules


def _placement(definition: Definition, axes: Sequence[ReadAxis], problems: list[str]) -> tuple[int, int]:
    """(x, y): as asked, else the first axis of several values down and the second across."""
    x, y = (_asked_place(axes, which, text, problems) for which, text in (("x", definition.x), ("y", definition.y)))
    if x is not None and x == y:
        problems.append(f"x and y are both {axes[x].name!r}: one axis cannot lie across and down")
    # Axes of several values first: a page for each seed, not a sheet of one seed. No values yet = all epochs.
    free = [k for k in sorted(range(len(axes)), key=lambda k: len(axes[k].values) == 1) if k not in {x, y}]
    alone = sum(len(axis.values) != 1 for axis in axes) < 2
    if y is None and not (alone and x is None):
        y = free.pop(0) if free and not (alone and x is not None) else -1
    if x is None:
        x = free.pop(0) if free else -1
    return x, -1 if y is None else y


def _asked_place(axes: Sequence[ReadAxis], which: str, text: str, problems: list[str]) -> int | None:
    if not text:
        return None
    for names in ([axis.name for axis in axes], [axis.kind.name for axis in axes]):
        folded = [name.casefold() for name in names]
        if text.casefold() in folded:
            return folded.index(text.casefold())
    problems.append(f"{which} = {text!r}: there is no such axis; there are: {', '.join(a.name for a in axes)}")
    return None
