"""Which pictures a grid is made of: epoch × weight at every seed, and what each seed draws without LoRA."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.errors import InputError
from orchestrator.grid.prompts import baseline_prompt
from orchestrator.profile.model import Excluded, GridPlan
from orchestrator.render.recipe import LoraUse, Recipe

#: Draws the recipe of one cell: prompt, seed, LoRA files (none for the baseline).
MakeRecipe = Callable[[str, int, tuple[LoraUse, ...]], Recipe]


class TrainedFile(Protocol):
    """The LoRA file behind a deployed one."""

    @property
    def epoch(self) -> int:
        """The epoch it was saved after."""

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""


class DeployedLora(Protocol):
    """A LoRA file that A1111 lists, as `orchestrator.lora` deploys it."""

    @property
    def lora(self) -> TrainedFile:
        """What was deployed."""

    @property
    def stem(self) -> str:
        """The name that goes into the prompt's tag."""

    @property
    def shown_hash(self) -> str:
        """The hash A1111 prints for it."""


@dataclass(frozen=True)
class Cell:
    """One place in a grid. `epoch` and `weight` are None in the baseline row."""

    epoch: int | None
    weight: float | None
    seed: int
    #: None where the cell is left out.
    recipe: Recipe | None
    #: Why the plan leaves it out; empty = it is drawn.
    left_out: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether it shows what the seed alone draws."""
        return self.epoch is None

    @property
    def label(self) -> str:
        """The cell in words: `epoch 40, weight 0.8, seed 123456789`."""
        if self.epoch is None or self.weight is None:
            return f"no LoRA, seed {self.seed}"
        return f"epoch {self.epoch}, weight {self.weight:g}, seed {self.seed}"

    @property
    def stem(self) -> str:
        """A file name of its own within the grid, sorted as the grid is."""
        if self.epoch is None or self.weight is None:
            return f"no-lora_seed-{self.seed}"
        return f"epoch-{self.epoch:04d}_weight-{self.weight:g}_seed-{self.seed}"


@dataclass(frozen=True)
class Grid:
    """The axes of a grid and all its cells, in the order they are drawn: baseline, then LoRA file by LoRA file."""

    name: str
    prompt: str
    baseline_prompt: str
    trigger: str
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    weights: tuple[float, ...]
    cells: tuple[Cell, ...]
    _by_place: dict[tuple[int | None, float | None, int], Cell] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_place", {(c.epoch, c.weight, c.seed): c for c in self.cells})

    def cell(self, epoch: int | None, weight: float | None, seed: int) -> Cell:
        """The cell at that place; None, None is the baseline of the seed. Raises KeyError."""
        return self._by_place[epoch, weight, seed]

    @property
    def recipes(self) -> list[Recipe]:
        """What has to be drawn, each recipe once, in the order of the cells."""
        return list({cell.recipe.key: cell.recipe for cell in self.cells if cell.recipe is not None}.values())


def plan(
    grid: GridPlan,
    loras: Sequence[DeployedLora],
    make_recipe: MakeRecipe,
    *,
    trigger: str = "",
    fill: Callable[[str], str] = str,
) -> Grid:
    """All cells of `grid` over the deployed epochs.

    `fill` puts `{trigger}` and its like into the prompt (`Profile.fill`); `trigger` is the word the baseline row goes
    without. The baseline comes first, because traces of a LoRA have been reported to outlast its removal; then the LoRA
    file is the outermost axis, so that A1111 changes it least often. Raises `InputError` when an epoch is asked for
    that was not deployed.
    """
    by_epoch = {deployed.lora.epoch: deployed for deployed in loras}
    epochs = grid.epochs or tuple(sorted(by_epoch))
    if missing := [epoch for epoch in epochs if epoch not in by_epoch]:
        raise InputError(
            f"Grid {grid.name}: there is no LoRA file of epoch {_listed(missing)}.",
            cause=f"Deployed are the epochs {_listed(sorted(by_epoch))}." if by_epoch else "No epoch was deployed.",
            fix="Take the epoch out of the grid's `epochs`, or train and deploy it first.",
        )
    if not epochs:
        raise InputError(
            f"Grid {grid.name} has no epochs to show.",
            cause="No LoRA file was deployed.",
            fix="Train and deploy first.",
        )
    prompt = fill(grid.prompt)
    bare = baseline_prompt(prompt, trigger)
    cells = [Cell(None, None, seed, make_recipe(bare, seed, ())) for seed in grid.seeds]
    for epoch in epochs:
        for weight in grid.weights:
            reason = next((_why(rule) for rule in grid.exclude if rule.holds(epoch, weight)), "")
            for seed in grid.seeds:
                recipe = None if reason else make_recipe(prompt, seed, (_use(by_epoch[epoch], weight),))
                cells.append(Cell(epoch, weight, seed, recipe, reason))
    return Grid(
        name=grid.name,
        prompt=prompt,
        baseline_prompt=bare,
        trigger=trigger,
        seeds=tuple(grid.seeds),
        epochs=tuple(epochs),
        weights=tuple(grid.weights),
        cells=tuple(cells),
    )


def cost(grids: Iterable[Grid], is_made: Callable[[Recipe], bool], seconds_per_picture: float | None = None) -> str:
    """What drawing costs, before it starts: `96 pictures, 24 of them already made, ~1 h 10 min for the rest`.

    `seconds_per_picture` is the median measured on this machine; None leaves the time out. Pictures shared by grids
    count once.
    """
    recipes = {recipe.key: recipe for grid in grids for recipe in grid.recipes}
    made = sum(is_made(recipe) for recipe in recipes.values())
    total = len(recipes)
    words = "1 picture" if total == 1 else f"{total:,} pictures"
    if total and made == total:
        return f"{words}, already made" if total == 1 else f"{words}, all already made"
    if made:
        words += f", {made:,} of them already made"
    if seconds_per_picture is not None and total:
        words += f", ~{_duration((total - made) * seconds_per_picture)}" + (" for the rest" if made else "")
    return words


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _use(deployed: DeployedLora, weight: float) -> LoraUse:
    return LoraUse(stem=deployed.stem, sha256=deployed.lora.sha256, shown_hash=deployed.shown_hash, weight=weight)


def _why(rule: Excluded) -> str:
    parts = [] if rule.epoch_up_to is None else [f"epoch ≤ {rule.epoch_up_to}"]
    parts += [] if rule.weight_up_to is None else [f"weight ≤ {rule.weight_up_to:g}"]
    return " and ".join(parts)


def _listed(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values)
