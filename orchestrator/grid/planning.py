"""Definition + what there is on this machine → the planned grid: every cell with its recipe, keyed and labelled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from orchestrator.grid import parts
from orchestrator.grid.axes import label
from orchestrator.grid.cells import Cell, Grid
from orchestrator.grid.definition import to_dict
from orchestrator.grid.exclusion import excluded
from orchestrator.grid.manifest import At, Axis
from orchestrator.grid.parts import Changes, Chosen
from orchestrator.grid.reading import ReadAxis, Reading, count, refuse, size_problem
from orchestrator.grid.stock import Stock

_Pick = Callable[[tuple[int, ...]], Hashable]


def plan(reading: Reading, stock: Stock) -> Grid:
    """The grid of `reading` from what `stock` has.

    Raises one `InputError` that names everything that is wrong: with the definition, with names that nothing here
    answers to, with the number of cells. No cell is made before that.
    """
    problems = [*reading.problems, *stock.problems]
    axes, gaps = _with_epochs(reading, stock, problems)
    problems += _weight_problems(reading)
    if not problems:
        lengths = [len(axis.values) for axis in axes]
        too_many = size_problem(count(lengths, [axis.kind.lora for axis in axes], baseline=reading.baseline))
        problems += [too_many] if too_many else []
    refuse(reading.definition.name, problems)
    reading = replace(reading, axes=tuple(axes))
    cells = [*_cells(reading, stock, gaps, bare=True)] if reading.baseline else []
    cells += _cells(reading, stock, gaps, bare=False)
    return Grid(
        name=reading.definition.name,
        definition=to_dict(reading.definition),
        axes=tuple(Axis(axis.kind.name, axis.name, axis.values, axis.kind.lora) for axis in axes),
        x=reading.x,
        y=reading.y,
        baseline=reading.baseline,
        cells=tuple(cells),
    )


def _with_epochs(
    reading: Reading, stock: Stock, problems: list[str]
) -> tuple[list[ReadAxis], dict[tuple[str, str], str]]:
    """The axes with every epoch written out, and why (version, epoch) pairs have no file: a version may have been
    trained for fewer epochs than another.
    """
    axes = list(reading.axes)
    runs = {version: stock.runs.get(version, {}) for version in reading.versions}
    empty = [version for version, files in runs.items() if not files]
    problems += [
        f"there is no LoRA file of {reading.definition.subject.run(version)}: train and deploy it first"
        for version in empty
    ]
    index = reading.index("epoch")
    if index is None or empty:
        return axes, {}
    there = sorted({epoch for files in runs.values() for epoch in files})
    values = axes[index].values or tuple(map(str, there))
    missing = [value for value in values if int(value) not in there]
    if missing:
        problems.append(
            f"axis {axes[index].name}: there is no LoRA file of epoch {', '.join(missing)}; "
            f"there are {', '.join(map(str, there))}"
        )
    axes[index] = replace(axes[index], values=values)
    gaps = {
        (version, value): f"{version} has no epoch {value}"
        for version, files in runs.items()
        for value in values
        if int(value) not in files
    }
    return axes, gaps


def _weight_problems(reading: Reading) -> list[str]:
    """A weight axis is of the LoRA under test; a value that names a weight of its own contradicts it."""
    if reading.index("weight") is None or reading.versions:
        return []
    return [
        f"axis lora: {value!r} names a weight, and there is a weight axis"
        for value in reading.values("lora")
        if any(own is not None for _, own in parts.lora_parts(value)[:1])
    ]


@dataclass(frozen=True)
class _Part:
    """A table of changes: `pick` takes a row's name out of a place, of which it looks at `positions`."""

    positions: Sequence[int]
    pick: _Pick
    rows: Mapping[Hashable, Changes]


@dataclass(frozen=True)
class _LeftOut:
    """Rows at which cells are left out, with the reason."""

    positions: Sequence[int]
    pick: _Pick
    reasons: Mapping[Any, str]


def _cells(reading: Reading, stock: Stock, gaps: Mapping[tuple[str, str], str], *, bare: bool) -> Iterator[Cell]:
    """All cells of the baseline (`bare`), or all others, the last axis changing fastest.

    What does not depend on the last axis is worked out once for all its values.
    """
    axes = reading.axes
    last = len(axes) - 1
    # In the baseline the LoRA axes have one place each, which is none.
    hidden = {k for k, axis in enumerate(axes) if bare and axis.kind.lora}
    sizes = [1 if k in hidden else len(axis.values) for k, axis in enumerate(axes)]
    tables = _parts(reading, stock, gaps, sizes, bare=bare)
    rules = _left_out(reading, gaps, bare=bare)
    outer, inner = ([t for t in tables if (last in t.positions) is of_last] for of_last in (False, True))
    outer_rules, inner_rules = ([r for r in rules if (last in r.positions) is of_last] for of_last in (False, True))
    labels = [
        ["no LoRA" if k == min(hidden) else ""]
        if k in hidden
        else [label(axis.name, axis.kind, v) for v in axis.values]
        for k, axis in enumerate(axes)
    ]
    ends: list[tuple[int | None, int, str]] = [
        (None if last in hidden else index, index, words) for index, words in enumerate(labels[last])
    ]
    for start in itertools.product(*map(range, sizes[:last])):
        first = (*start, 0)
        shown: At = tuple(None if k in hidden else index for k, index in enumerate(start)) if hidden else start
        words = ", ".join(filter(None, [texts[index] for texts, index in zip(labels, start, strict=False)]))
        before = f"{words}, " if words else ""
        why_all = next((why for r in outer_rules if (why := r.reasons.get(r.pick(first)))), "")
        if not why_all:
            changes: Changes = {}
            for table in outer:
                changes.update(table.rows[table.pick(first)])
            evolve = stock.base.evolve(**changes).evolve
        for index, number, end in ends:
            place = (*start, number)
            why = why_all or next((why for r in inner_rules if (why := r.reasons.get(r.pick(place)))), "")
            text = before + end if end else words
            if why:
                yield Cell((*shown, index), text, None, why)
            elif len(inner) == 1:
                yield Cell((*shown, index), text, evolve(**inner[0].rows[inner[0].pick(place)]))
            else:
                own: Changes = {}
                for table in inner:
                    own.update(table.rows[table.pick(place)])
                yield Cell((*shown, index), text, evolve(**own))


def _parts(
    reading: Reading, stock: Stock, gaps: Mapping[tuple[str, str], str], sizes: Sequence[int], *, bare: bool
) -> list[_Part]:
    definition, axes = reading.definition, reading.axes

    def table(kinds: Iterable[str], changes: Callable[[dict[int, str]], Changes], *, always: bool = False) -> None:
        wanted = set(kinds)
        positions = [k for k, axis in enumerate(axes) if axis.kind.name in wanted and not (bare and axis.kind.lora)]
        if not positions and not always:
            return
        rows: dict[Hashable, Changes] = {}
        pick = _pick(positions)
        for indexes in itertools.product(*(range(sizes[k]) for k in positions)):
            at = [0] * len(axes)
            for k, index in zip(positions, indexes, strict=True):
                at[k] = index
            rows[pick(tuple(at))] = changes({k: axes[k].values[at[k]] for k in positions})
        found.append(_Part(positions, pick, rows))

    def by_kind(values: Mapping[int, str]) -> Chosen:
        return {axes[k].kind.name: value for k, value in values.items()}

    prompts, negatives = (reading.values("prompt") or (definition.prompt,)), reading.values("negative prompt")

    def prompt(values: dict[int, str]) -> Changes:
        chosen = by_kind(values)
        one = reading.prompts[prompts.index(chosen["prompt"]) if "prompt" in chosen else 0]
        other = reading.negatives[negatives.index(chosen["negative prompt"]) if "negative prompt" in chosen else 0]
        words = {axes[k].name: value for k, value in values.items()}
        return parts.prompt_changes(definition, one, other, stock, chosen, words, bare=bare)

    def loras(values: dict[int, str]) -> Changes:
        chosen = by_kind(values)
        version = chosen.get("version", definition.subject.version)
        if (version, chosen.get("epoch", "")) in gaps:
            return {}
        uses = parts.lora_uses(definition, stock, chosen, of_run=bool(reading.versions))
        twice = [use.stem for use in uses if sum(other.sha256 == use.sha256 for other in uses) > 1]
        refuse(definition.name, [f"the LoRA {stem} stands twice in one picture" for stem in dict.fromkeys(twice)])
        return {"loras": uses}

    found: list[_Part] = []
    table(parts.PROMPT, prompt, always=True)
    if not bare:
        table(parts.LORAS, loras, always=True)
    table(parts.SAMPLER, lambda values: parts.sampler_changes(definition, stock, by_kind(values)))
    table(parts.MODEL, lambda values: parts.model_changes(definition, stock, by_kind(values)))
    table(parts.OPTIONS, lambda v: parts.option_changes(stock, [(axes[k].of, text) for k, text in v.items()]))
    for kind, change in parts.PLAIN.items():
        table([kind], lambda values, change=change: change(next(iter(values.values()))))  # type: ignore[misc]
    return found


def _left_out(reading: Reading, gaps: Mapping[tuple[str, str], str], *, bare: bool) -> list[_LeftOut]:
    """For each rule, at which rows of its axes it holds, with its words."""
    axes = reading.axes
    names = {axis.name: k for k, axis in enumerate(axes)}
    found: list[_LeftOut] = []
    # A rule that speaks of the LoRA says nothing of cells without it.
    rules = [rule for rule in reading.rules if not (bare and any(axes[names[n]].kind.lora for n in rule.names))]
    values = {axis.name: axis.values for axis in axes}
    for rule, over, places in excluded(rules, values, {axis.name: axis.kind.numeric for axis in axes}):
        positions = [names[name] for name in over]
        rows = {place if len(place) > 1 else place[0]: rule.text for place in places}
        found.append(_LeftOut(positions, _pick(positions), rows))
    if gaps and not bare:
        epoch, version = reading.index("epoch"), reading.index("version")
        assert epoch is not None
        versions = reading.values("version") or reading.versions
        missing: dict[Hashable, str] = {}
        for (name, value), why in gaps.items():
            at = axes[epoch].values.index(value)
            missing[at if version is None else (versions.index(name), at)] = why
        positions = [epoch] if version is None else [version, epoch]
        found.append(_LeftOut(positions, _pick(positions), missing))
    return found


def _pick(positions: Sequence[int]) -> _Pick:
    """Takes these positions out of a place: a tuple of several, the index itself of one, nothing of none."""
    return itemgetter(*positions) if positions else lambda at: 0
