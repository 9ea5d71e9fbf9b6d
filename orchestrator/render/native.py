"""Grids by the webui's own X/Y/Z plot: another way to the same proven pictures, for who wants to compare with it.

A cell of a plot equals the picture of a single request pixel for pixel (observed on 1.10.1), so both share the cache.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.a1111.infotext import parse
from orchestrator.a1111.models import Generated, GenerationInfo, ProgressState
from orchestrator.a1111.xyz import PlotCell, PlotScript, read_script, script_args, take_apart
from orchestrator.errors import OrchestratorError, ProofError, ServerUnreachable, ToolError
from orchestrator.render.canary import not_applied
from orchestrator.render.engine import OnPicture, Picture, Renderer
from orchestrator.render.overrides import put_back, secure
from orchestrator.render.payload import all_overridden, payload
from orchestrator.render.plots import Plot, plan_plots
from orchestrator.render.proof import infotext_differences, picture_problems, record
from orchestrator.render.recipe import Recipe
from orchestrator.render.replaced import refuse_replaced
from orchestrator.render.server import Server, make_sure, refuse_unknown

#: Seconds between two looks at a plot that is to be stopped.
_LOOK_S = 0.5
_HALF_DRAWN = "the plot was interrupted while this cell was drawn: it may be half done"


@dataclass(frozen=True)
class NativeRenderer:
    """Draws what it can as plots on the first server of `inner`, and the rest through `inner`."""

    inner: Renderer

    def render(
        self, recipes: Sequence[Recipe], on_picture: OnPicture | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        """The pictures of `recipes`, in their order, as `Renderer.render` hands them out; `as_given` holds for what
        fits no plot.

        What fits no plot (baseline, single cells, what is cached) comes first. The cells of a plot arrive together when
        it is done; each is proven and kept like any other picture, and one that failed is not tried again. Ctrl-C
        interrupts our plot alone and keeps its finished cells. Raises what `Renderer.render` raises, and `ToolError`
        when the webui's script is not as known or a plot fails before any picture of one was proven.
        """
        missing = {recipe.key: recipe for recipe in recipes if not self.inner.cache.has(recipe.key)}
        plots = self._plots(missing.values()) if missing else []
        if not plots:
            return self.inner.render(recipes, on_picture, as_given=as_given)
        server = make_sure(self.inner.server)
        script = read_script(server.client.script_info())
        plotted = [recipe for plot in plots for recipe in plot.recipes]
        # Every plot is checked before the first picture: one wrong name must not show after an hour.
        refuse_unknown(server, plotted, server.client.loras())
        refuse_replaced(server, plotted, self.inner.cache.folder)
        before = secure(server.client, all_overridden(plotted, server), self.inner.patience)
        try:
            refused = not_applied(server, plotted, self.inner.cache.folder, self.inner.patience)
            if refused:
                plots = self._plots(r for r in missing.values() if not refused & {use.sha256 for use in r.loras})
            report = on_picture or (lambda picture: None)
            return self._render(recipes, plots, script, server, report, as_given=as_given)
        finally:
            # What the drawing ended with matters more than a server that is gone.
            with contextlib.suppress(OrchestratorError):
                put_back(server.client, before)

    def clean_load(self, recipes: Sequence[Recipe]) -> None:
        """As `Renderer.clean_load`."""
        self.inner.clean_load(recipes)

    def drawn_again(self, recipe: Recipe) -> bool | None:
        """As `Renderer.drawn_again`."""
        return self.inner.drawn_again(recipe)

    def _plots(self, recipes: Iterable[Recipe]) -> list[Plot]:
        return plan_plots(recipes, float(self.inner.server.client.options()["img_max_size_mp"]))

    def _render(
        self,
        recipes: Sequence[Recipe],
        plots: Sequence[Plot],
        script: PlotScript,
        server: Server,
        report: OnPicture,
        *,
        as_given: bool,
    ) -> list[Picture]:
        plotted = {recipe.key for plot in plots for recipe in plot.recipes}
        singles = [recipe for recipe in recipes if recipe.key not in plotted]
        pictures = self.inner.render(singles, report, as_given=as_given) if singles else []
        done = {picture.key: picture for picture in pictures}
        for plot in plots:
            hopeful = any(not picture.error for picture in done.values())
            try:
                pictures, stopped = self._draw(plot, script, server, hopeful=hopeful)
            except ServerUnreachable:
                # A plot has no second try of its own: its cells are drawn one by one, which has.
                done |= {picture.key: picture for picture in self.inner.render(plot.recipes, report)}
                continue
            for picture in pictures:
                done[picture.key] = picture
                report(picture)
            if stopped is not None:
                raise stopped
        return [done[recipe.key] for recipe in recipes]

    def _draw(
        self, plot: Plot, script: PlotScript, server: Server, *, hopeful: bool
    ) -> tuple[list[Picture], KeyboardInterrupt | None]:
        """The proven cells of one plot, and the Ctrl-C that cut it short.

        `hopeful` when pictures were proven before, so that this plot may fail alone.
        """
        body = payload(plot.recipes[0], server)
        body |= {"script_name": script.name, "script_args": script_args(script, plot.axes)}
        started = time.monotonic()
        stopped: KeyboardInterrupt | None = None
        try:
            answer, stopped = _ask(server, body)
            cells = _distrusted(take_apart(answer, plot.axes), answer, _state(server))
        except ToolError as error:
            if not hopeful and stopped is None:
                raise
            pictures = [self._failed(recipe, error.what) for recipe in plot.recipes]
        else:
            seconds = (time.monotonic() - started) / len(cells)
            pictures = [self._kept(r, cell, server, seconds) for r, cell in zip(plot.recipes, cells, strict=True)]
        if not hopeful and all(picture.refused for picture in pictures):
            raise ProofError(
                [f"all {len(pictures)} cells of a plot are refused, the first because {pictures[0].error}"]
            )
        return pictures, stopped

    def _kept(self, recipe: Recipe, cell: PlotCell, server: Server, seconds: float) -> Picture:
        if cell.error:
            return self._failed(recipe, cell.error)
        found = infotext_differences(recipe, cell.infotext, server.samplers.get(recipe.sampler, ""))
        found = found or picture_problems(recipe, cell.picture, cell.infotext)
        if found:
            return replace(self._failed(recipe, ProofError(found).what), refused=True)
        proof = record(
            recipe, _alone(cell), seconds, server=server.client.url, simulated=server.simulated, drawn_by="x/y/z plot"
        )
        return Picture(self.inner.cache.put(recipe.key, cell.picture, proof), recipe, recipe.key)

    def _failed(self, recipe: Recipe, why: str) -> Picture:
        return Picture(self.inner.cache.picture(recipe.key), recipe, recipe.key, error=why)


def _ask(server: Server, body: dict[str, Any]) -> tuple[Generated, KeyboardInterrupt | None]:
    """The answer to a plot, and the Ctrl-C that cut it short."""
    client = server.client
    task = f"task(orchestrator-{uuid.uuid4().hex[:12]})"
    with ThreadPoolExecutor(1, thread_name_prefix="plot") as pool:
        asked: Future[Generated] = pool.submit(client.txt2img, {**body, "force_task_id": task})
        try:
            # With a timeout, because Windows would not let Ctrl-C through otherwise.
            while not asked.done():
                wait([asked], timeout=_LOOK_S)
        except KeyboardInterrupt as stopped:
            # One that still waits in the queue is interrupted when its turn comes; a second Ctrl-C does not wait.
            try:
                while not asked.done():
                    with contextlib.suppress(OrchestratorError):
                        client.interrupt_task(task)
                    wait([asked], timeout=_LOOK_S)
            except KeyboardInterrupt:
                client.connection.hang_up()
                raise
            return asked.result(), stopped
        return asked.result(), None


def _state(server: Server) -> ProgressState:
    """What the server says of its last job. A plot that is there is not lost because it says nothing."""
    with contextlib.suppress(OrchestratorError):
        return server.client.progress().state
    return ProgressState()


def _distrusted(cells: list[PlotCell], answer: Generated, state: ProgressState) -> list[PlotCell]:
    """`cells` without trust in the one that an interruption may have cut off: it comes half drawn and says nothing.

    The server tells of an interruption until its next job begins. When that has begun already, cells that are missing
    at the end are the only sign.
    """
    last = max((k for k, cell in enumerate(cells) if cell.infotext), default=None)
    ours = bool(state.job_timestamp) and state.job_timestamp == answer.info.job_timestamp
    interrupted = state.interrupted if ours else last != len(cells) - 1
    if last is None or not interrupted or cells[last].error:
        return cells
    return [replace(cell, error=_HALF_DRAWN) if k == last else cell for k, cell in enumerate(cells)]


def _alone(cell: PlotCell) -> Generated:
    """A cell as the answer to a request of its own. A plot has one info for all cells, made from the first."""
    fields = parse(cell.infotext).fields
    return Generated(
        images=[cell.picture],
        info=GenerationInfo(
            infotexts=[cell.infotext],
            all_seeds=[cell.seed],
            sampler_name=fields.get("Sampler", ""),
            sd_model_name=fields.get("Model"),
            sd_model_hash=fields.get("Model hash"),
            sd_vae_name=fields.get("VAE"),
            version=fields.get("Version", ""),
        ),
    )
