"""The x/y/z plot script: every cell as its own job, then one sheet, with the real script's order and gaps."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import product
from typing import Any

from PIL import Image

from . import infotext, parameters, pictures, plot_axes, plot_sheet
from . import job as jobs
from .engine import Engine
from .failures import ServerError
from .job import Job
from .plot_axes import Axis
from .processed import Processed
from .scripts import plot_arguments


@dataclass(frozen=True)
class _Line:
    """One axis with its values; `text` is what stands in the infotext."""

    letter: str
    axis: Axis
    values: list[Any]
    text: str

    def about(self, fixed: bool) -> dict[str, str]:
        """Its part of the grid's infotext."""
        if self.axis.label == "Nothing":
            return {}
        letter = self.letter.upper()
        said = {f"{letter} Type": self.axis.label, f"{letter} Values": self.text}
        if fixed and self.axis.label in {"Seed", "Var. seed"}:
            said[f"Fixed {letter} Values"] = ", ".join(map(str, self.values))
        return said


def run(engine: Engine, job: Job, script_args: Sequence[Any]) -> Processed:
    """Paint all cells and the sheet. Raises ServerError for bad axis values; an error inside a cell makes a
    black cell."""
    names = plot_arguments(job.dialect)
    missing = [f"'{name}'" for name in names[len(script_args) :]]
    if missing:
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        plural = "" if len(missing) == 1 else "s"
        raise ServerError(
            "TypeError", f"Script.run() missing {len(missing)} required positional argument{plural}: {listed}"
        )
    args = dict(zip(names, script_args, strict=False))
    fixed = not args["no_fixed_seeds"]
    if job.width is None or job.height is None:
        raise ServerError("TypeError", "unsupported operand type(s) for *: 'int' and 'NoneType'")
    if fixed:
        job = replace(job, seed=jobs.fixed(job.seed), subseed=jobs.fixed(job.subseed))
    xs, ys, zs = (_line(engine, job, letter, args, fixed) for letter in "xyz")
    count = len(xs.values) * len(ys.values) * len(zs.values)
    _check_size(engine, job, count)
    if count == 0:
        return _nothing(engine, job)
    return _Plot(engine, job, (xs, ys, zs), args, fixed).run()


def _line(engine: Engine, job: Job, letter: str, args: dict[str, Any], fixed: bool) -> _Line:
    axis = plot_axes.axis(job.kind, args[f"{letter}_type"], job.dialect)
    text, menu, csv_mode = args[f"{letter}_values"], args[f"{letter}_values_dropdown"], bool(args["csv_mode"])
    found = plot_axes.values(axis, text, menu, csv_mode)
    plot_axes.confirm(axis, found, engine.checkpoints, job.dialect)
    shown = _csv(found) if axis.menu and not csv_mode else str(text)
    return _Line(letter, axis, plot_axes.fix_seeds(axis, found) if fixed else found, shown)


def _csv(values: Sequence[Any]) -> str:
    out = StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue().strip()


def _check_size(engine: Engine, job: Job, count: int) -> None:
    limit = engine.options.get("img_max_size_mp")
    wanted = round(count * job.width * job.height / 1_000_000)
    if wanted >= limit:
        raise ServerError(
            "AssertionError",
            f"Error: Resulting grid would be too large ({wanted} MPixels) (max configured size is {limit} MPixels)",
        )


def _nothing(engine: Engine, job: Job) -> Processed:
    return Processed(
        images=[],
        about=parameters.about(engine, job),
        all_prompts=[job.prompt],
        all_negative_prompts=[job.negative_prompt],
        all_seeds=[-1],
        all_subseeds=[-1],
        infotexts=[""],
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        extra=job.extra,
    )


class _Plot:
    """The cells under way, in lists addressed by ix + iy * columns + iz * columns * rows."""

    def __init__(
        self, engine: Engine, job: Job, lines: tuple[_Line, _Line, _Line], args: dict[str, Any], fixed: bool
    ) -> None:
        self.engine, self.job, self.args, self.fixed = engine, job, args, fixed
        self.lines = lines
        self.columns, self.rows, self.layers = (len(line.values) for line in lines)
        self.count = self.columns * self.rows * self.layers
        self.images: list[Image.Image | None] = [None] * self.count
        self.prompts: list[str | None] = [None] * self.count
        self.seeds: list[int | None] = [None] * self.count
        self.texts: list[str | None] = [None] * self.count
        self.grid_texts: list[str | None] = [None] * (1 + self.layers)
        self.first: Processed | None = None
        self.sampled = 0

    def run(self) -> Processed:
        state = self.engine.state
        state.job_count = self.count * max(self.job.n_iter, 1)
        for number, at in enumerate(self._order(), 1):
            state.job = f"{number} out of {self.count}"
            self._cell(*at)
        if self.first is None:
            return _nothing(self.engine, self.job)
        return self._finish(self.first)

    def _order(self) -> list[tuple[int, int, int]]:
        """Cells in painting order: the costliest axis outermost, otherwise z, y, and x innermost."""
        axes = sorted((2, 1, 0), key=lambda at: -self.lines[at].axis.cost)
        sizes = [range((self.columns, self.rows, self.layers)[at]) for at in axes]
        order = []
        for place in product(*sizes):
            cell = dict(zip(axes, place, strict=True))
            order.append((cell[0], cell[1], cell[2]))
        return order

    def _cell(self, ix: int, iy: int, iz: int) -> None:
        job = replace(self.job, plot_cells=self.count)
        for line, at in zip(self.lines, (ix, iy, iz), strict=True):
            job = line.axis.apply(job, line.values[at], line.values)
        job = self._varied_seed(job, ix, iy, iz)
        if self.engine.state.interrupted:
            return
        try:
            done = self.engine.process(job)
        except ServerError:
            return  # swallowed as the real script does: the cell stays black
        self._keep_grid_texts(done, job, ix, iy, iz)
        self.sampled += done.sampled
        if self.first is None:
            self.first = done
        if not done.images:
            return
        at = ix + iy * self.columns + iz * self.columns * self.rows
        self.images[at] = done.images[done.index_of_first_image]
        self.prompts[at], self.seeds[at], self.texts[at] = done.prompt, done.seed, done.infotexts[0]

    def _varied_seed(self, job: Job, ix: int, iy: int, iz: int) -> Job:
        x = self.columns if self.args["vary_seeds_x"] else 1
        y = self.rows if self.args["vary_seeds_y"] else 1
        more = ix if self.args["vary_seeds_x"] else 0
        more += iy * x if self.args["vary_seeds_y"] else 0
        more += iz * x * y if self.args["vary_seeds_z"] else 0
        return replace(job, seed=job.seed + more) if more else job

    def _keep_grid_texts(self, done: Processed, job: Job, ix: int, iy: int, iz: int) -> None:
        if ix or iy or not done.infotexts:
            return
        said = {"Script": "X/Y/Z plot"}
        for line in self.lines[:2]:
            said |= line.about(self.fixed)
        self.grid_texts[1 + iz] = _with(done.infotexts[0], said)
        if iz == 0:
            self.grid_texts[0] = _with(done.infotexts[0], {**said, **self.lines[2].about(self.fixed)})

    def _finish(self, first: Processed) -> Processed:
        size = next(image.size for image in self.images if image is not None)
        cells = [image if image is not None else Image.new("RGB", size) for image in self.images]
        subs, main = self._sheets(cells, size)
        images: list[Image.Image] = [main, *subs, *cells] if self.args["include_lone_images"] else [main, *subs]
        per_layer = self.columns * self.rows
        starts = [layer * per_layer for layer in range(self.layers)]
        texts = [*self.grid_texts, *self.texts]
        prompts = [*(self.prompts[at] for at in starts), *self.prompts]
        seeds = [*(self.seeds[at] for at in starts), *self.seeds]
        self._save(images, seeds)
        if not self.args["include_sub_grids"]:
            images = [images[0], *images[1 + self.layers :]]
            prompts, seeds = prompts[self.layers :], seeds[self.layers :]
            texts = [texts[0], *texts[1 + self.layers :]]
        return replace(
            first,
            images=images,
            all_prompts=prompts,
            all_seeds=seeds,
            infotexts=texts,
            index_of_first_image=1,
            extra=self.job.extra,
            sampled=self.sampled,
        )

    def _sheets(self, cells: list[Image.Image], size: tuple[int, int]) -> tuple[list[Image.Image], Image.Image]:
        legends = [[line.axis.legend(value) for value in line.values] for line in self.lines]
        margin = int(self.args["margin_size"] or 0)
        per_layer = self.columns * self.rows
        subs = []
        for layer in range(self.layers):
            sub = plot_sheet.sheet(cells[layer * per_layer : (layer + 1) * per_layer], self.rows, margin)
            if self.args["draw_legend"]:
                sub = plot_sheet.with_legend(sub, size, legends[0], legends[1], margin)
            subs.append(sub)
        main = plot_sheet.sheet(subs, 1)
        if self.args["draw_legend"]:
            main = plot_sheet.with_legend(main, subs[0].size, legends[2], [""])
        return subs, main

    def _save(self, images: list[Image.Image], seeds: list[int | None]) -> None:
        if not self.engine.options.get("grid_save"):
            return
        folder = self.engine.home / str(self.engine.options.get(f"outdir_{self.job.kind}_grids"))
        saved = images[: 1 + self.layers] if self.args["include_sub_grids"] and self.layers > 1 else images[:1]
        for number, image in enumerate(saved):
            pictures.save(image, folder, "xyz_grid", str(seeds[max(number - 1, 0)]))


def _with(text: str | None, more: dict[str, str]) -> str | None:
    """The infotext with more parameters before its version."""
    if text is None:
        return None
    before, mark, version = text.rpartition(", Version: ") if ", Version: " in text else (text, "", "")
    added = ", ".join(f"{key}: {infotext.quote(value)}" for key, value in more.items())
    return f"{before}, {added}{mark}{version}"
