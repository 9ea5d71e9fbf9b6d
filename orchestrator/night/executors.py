"""What each kind of job does: the pipeline's functions, called with what was frozen."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from orchestrator import pipeline
from orchestrator.dataset.before_training import refuse_untrainable
from orchestrator.errors import DatasetError, InputError, ToolError
from orchestrator.gpu import Holder
from orchestrator.installs import Servers, open_servers
from orchestrator.jobs.control import Control
from orchestrator.jobs.model import Job
from orchestrator.jobs.store import Store
from orchestrator.lora.deploy import Deployed
from orchestrator.night import estimates, training
from orchestrator.night import frozen as freezing
from orchestrator.night.card import NightCard
from orchestrator.night.frozen import Frozen
from orchestrator.pipeline.dataset import Checked
from orchestrator.render.engine import OnPicture, Picture, Renderer
from orchestrator.render.recipe import Recipe

Result = dict[str, Any]


@dataclass
class Work:
    """One job at work."""

    job: Job
    frozen: Frozen
    control: Control
    card: NightCard
    #: The run that a job before this one trained; empty = the profile's newest.
    run: str
    _since: dict[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def run_name(self) -> str:
        """The run to draw with."""
        return self.run or str(self.frozen.options.get("run", "")) or self.frozen.profile.run_name

    @property
    def names(self) -> list[str]:
        """What was named on the command line."""
        return list(self.frozen.options.get("names", ()))

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell how far a stage is, and leave off here when it is time: between two pictures."""
        now = time.monotonic()
        since, first = self._since.setdefault(what, (now, done))
        left = (now - since) / (done - first) * (total - done) if done > first else None
        self.control.report(what, done, total, left)
        if done < total:
            self.control.check()

    @contextlib.contextmanager
    def drawing(self) -> Iterator[Servers]:
        """The servers, with the card in A1111's hands."""
        settings = self.frozen.settings
        holder = Holder(self.card.ledger, self.job.id, self.job.title)
        webui = self.card.for_drawing(settings, holder) if self.job.needs_card else None
        with open_servers(settings, self.control.say, webui) as servers:
            yield servers


@dataclass(frozen=True)
class Counting(Renderer):
    """A renderer that counts what it really draws: what comes from the cache says nothing of how long it takes."""

    drawn: Counter[str] = field(default_factory=Counter)

    def render(
        self, recipes: Sequence[Recipe], on_picture: OnPicture | None = None, *, as_given: bool = False
    ) -> list[Picture]:
        """As `Renderer.render`."""
        pictures = super().render(recipes, on_picture, as_given=as_given)
        self.drawn.update(picture.key for picture in pictures if not picture.cached and not picture.error)
        return pictures

    def timings(self, kind: str, began: float) -> list[tuple[str, int, float]]:
        """How long the pictures took since `began` (of `time.monotonic`); none where none was drawn."""
        count = len(self.drawn)
        return [(estimates.timed(kind), count, time.monotonic() - began)] if count else []


def counting(renderer: Renderer) -> Counting:
    """`renderer`, counting."""
    return Counting(**{one.name: getattr(renderer, one.name) for one in fields(renderer) if one.init})


def executor(path: Path, card: NightCard) -> Callable[[Job, Control], Mapping[str, Any]]:
    """Runs any job of the ledger at `path`. Raises what the pipeline raises, and `InputError` for a job that another
    version added.
    """

    def execute(job: Job, control: Control) -> Mapping[str, Any]:
        with Store(path) as store:
            format_, content = store.payload(job.id)
            run = next((r for need in job.needs if (r := _run_of(store, need))), "")
        if job.kind not in KINDS:
            raise InputError(
                f"This version of orchestrator knows no job {job.kind!r}.",
                fix="Use the version that added it, or cancel it.",
            )
        work = Work(job, freezing.read(format_, content), control, card, run)
        control.check()
        result = KINDS[job.kind](work)
        return {"run": run, **result} if run else result

    return execute


def _run_of(store: Store, id_: int) -> str:
    try:
        return str(store.job(id_).result.get("run", ""))
    except InputError:  # it was pruned
        return ""


def _pictures(work: Work) -> Result:
    began = time.monotonic()
    with work.drawing() as servers:
        renderer = servers.renderer(work.frozen.profile, work.frozen.workspace)
        made = pipeline.make_pictures(
            work.frozen.profile, work.frozen.workspace, renderer, only=work.names, on_progress=work.progress
        )
    failed = [f"{one.name}: {sentence}" for one in made for sentence in one.failed]
    for sentence in failed:
        work.control.say(sentence)
    _refuse_failed(len(failed))
    drawn = sum(one.drawn for one in made)
    return {
        "pictures": sum(len(one.pictures) for one in made),
        "timings": [("pictures", drawn, time.monotonic() - began)] if drawn else [],
    }


def _train(work: Work) -> Result:
    frozen = work.frozen
    if frozen.options.get("build"):
        checked = pipeline.check_dataset(frozen.profile, frozen.workspace, on_progress=work.progress)
        refuse_untrainable(checked.result, built=False)
        locked = _say_locks(work, checked)
        if locked and not frozen.options.get("anyway"):
            raise DatasetError(
                f"The dataset check has {locked} findings that would be locked into the LoRA.",
                cause="They stand in the job's log.",
                fix="Mend the dataset and run `orchestrator queue retry`; or add the run with --anyway.",
            )
        pipeline.build_dataset(frozen.profile, frozen.workspace, checked.pictures)
    freezing.refuse_changed_dataset(frozen)

    def look() -> None:
        built = pipeline.check_built(frozen.profile, frozen.workspace, on_progress=work.progress)
        if built is not None:
            # Whoever queues what is built has decided; it is said all the same, so that the morning knows why.
            refuse_untrainable(built.result, built=True)
            _say_locks(work, built)

    return training.train(
        work.job, frozen, work.control, work.card, before_start=None if frozen.options.get("build") else look
    )


def _say_locks(work: Work, checked: Checked) -> int:
    """Tell the job's log what will be locked in; how much that is."""
    locked = [finding for finding in checked.result.findings if finding.level == "locked in"]
    for finding in locked:
        work.control.say(f"locked in{f', {finding.group}' if finding.group else ''}: {finding.what}")
    return len(locked)


def _deploy(work: Work) -> Result:
    with open_servers(work.frozen.settings, work.control.say) as servers:
        deployed = servers.deploy(work.frozen.workspace, work.run_name)
    return {"run": work.run_name, "deployed": [one.stem for one in deployed]}


def _grid(work: Work) -> Result:
    began = time.monotonic()
    profile, workspace = work.frozen.profile, work.frozen.workspace

    with work.drawing() as servers:

        def files_of(run: str) -> list[Deployed]:
            return servers.deploy(workspace, work.run_name if run == profile.run_name else run)

        renderer = servers.renderer(profile, workspace)
        results = pipeline.draw_grids(
            profile,
            workspace,
            renderer,
            files_of=files_of,
            only=work.names,
            on_progress=work.progress,
        )
    failed = sum(result.failed for result in results)
    drawn = sum(result.total - result.cached for result in results) - failed
    for result in results:
        work.control.say(f"{result.folder.name}: {result.summary}")
    _refuse_failed(failed)
    return {
        "grids": [{"name": one.folder.name, "viewer": str(one.viewer), "summary": one.summary} for one in results],
        "timings": [("pictures", drawn, time.monotonic() - began)] if drawn > 0 else [],
    }


def _scout(work: Work) -> Result:
    began = time.monotonic()
    with work.drawing() as servers:
        renderer = counting(servers.renderer(work.frozen.profile, work.frozen.workspace))
        found = pipeline.scout_seeds(work.frozen.profile, work.frozen.workspace, renderer, on_progress=work.progress)
    return {"seeds": list(found.seeds), "timings": renderer.timings("scout", began)}


def _evaluate(work: Work) -> Result:
    began = time.monotonic()
    with work.drawing() as servers:
        deployed = servers.deploy(work.frozen.workspace, work.run_name)
        renderer = counting(servers.renderer(work.frozen.profile, work.frozen.workspace))
        verdict = pipeline.evaluate_version(
            work.frozen.profile, work.frozen.workspace, renderer, deployed, on_progress=work.progress
        )
    return {"verdict": verdict.text, "timings": renderer.timings("evaluate", began)}


def _report(work: Work) -> Result:
    return {"report": str(pipeline.write_report(work.frozen.profile, work.frozen.workspace))}


def _refuse_failed(failed: int) -> None:
    """Everything else was made and is kept; a retry draws what is missing."""
    if failed:
        raise ToolError(
            f"{failed} pictures could not be drawn.",
            cause="Each says why in its set or grid; out of memory and a server that went away are the usual reasons.",
            fix="`orchestrator queue retry` draws them again; what is there is not drawn twice.",
        )


KINDS: Mapping[str, Callable[[Work], Result]] = {
    "pictures": _pictures,
    "train": _train,
    "deploy": _deploy,
    "grid": _grid,
    "scout": _scout,
    "evaluate": _evaluate,
    "report": _report,
}
