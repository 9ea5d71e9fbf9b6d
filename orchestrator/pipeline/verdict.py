"""lora → evaluation → report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import WorkspaceError
from orchestrator.pipeline.dataset import dataset_pictures
from orchestrator.pipeline.drawing import recipe_maker
from orchestrator.pipeline.lora import lora_files
from orchestrator.pipeline.progress import OnProgress, counter, quiet

if TYPE_CHECKING:
    from orchestrator.evaluation.scout import ScoutResult
    from orchestrator.evaluation.verdict import Verdict
    from orchestrator.evaluation.votes.server import Open
    from orchestrator.evaluation.votes.taste import Taste
    from orchestrator.lora.deploy import Deployed
    from orchestrator.lora.publish import Published
    from orchestrator.pictures.price import Price
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.workspace import Workspace


def scout_seeds(
    profile: Profile, workspace: Workspace, renderer: Renderer, *, on_progress: OnProgress = quiet
) -> ScoutResult:
    """Find, without LoRA, the seeds that obey the poses of the rounds."""
    from orchestrator.evaluation import evaluate

    total = profile.scouting.candidates * len(profile.evaluation.rounds)
    return evaluate.scout_seeds(
        profile,
        workspace,
        recipe_maker(profile, renderer),
        renderer,
        evaluate.workspace_eyes(workspace, renderer.server.client),
        on_picture=counter(on_progress, "scout seeds", total),
        on_tagged=counter(on_progress, "judge seeds", total),
    )


def choose_seeds(profile: Profile, workspace: Workspace, seeds: Sequence[int]) -> ScoutResult:
    """Keep the scouted seeds a person chose. Raises `WorkspaceError` before seeds were scouted, `InputError` for seeds
    that were not.
    """
    from orchestrator.evaluation.records import change_scout, read_scout
    from orchestrator.evaluation.scout import by_hand

    scouted = read_scout(workspace, profile.subject.version)
    if scouted is None:
        raise WorkspaceError("The seeds are not scouted yet.", fix="Run `orchestrator scout` first.")
    chosen = by_hand(scouted, seeds)
    change_scout(workspace, profile.subject.version, chosen)
    return chosen


def scout_sheet(profile: Profile, workspace: Workspace, result: ScoutResult, *, simulated: bool = False) -> Path:
    """Draw the contact sheet of a scouting. Returns the PNG."""
    from orchestrator.evaluation.scout_sheet import write_scout_sheet

    return write_scout_sheet(result, workspace, profile.subject.version, simulated=simulated)


def evaluate_version(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    deployed: Sequence[Deployed],
    *,
    on_progress: OnProgress = quiet,
) -> Verdict:
    """lora → evaluation: the rounds on the scouted seeds, and the verdict, whose winner is marked in the grids. Raises
    `WorkspaceError` before seeds were scouted.
    """
    from orchestrator.evaluation import evaluate
    from orchestrator.evaluation.records import read_scout
    from orchestrator.vision.workers import kept

    scouted = read_scout(workspace, profile.subject.version)
    if scouted is None:
        raise WorkspaceError("The seeds are not scouted yet.", fix="Run `orchestrator scout` first.")
    bars: dict[str, Callable[..., None]] = {}

    def part(pictures: int) -> None:
        number = len(parts) + 1
        parts.append(pictures)
        which = f", look {number}" if profile.evaluation.racing.on else ""
        bars.update({what: counter(on_progress, what + which, pictures) for what in ("rounds", "judge", "measure")})

    def bar(what: str) -> Callable[..., None]:
        return lambda *seen: bars[what](*seen) if what in bars else None

    parts: list[int] = []
    with kept():
        verdict = evaluate.evaluate(
            profile,
            workspace,
            scouted.seeds,
            deployed,
            dataset_pictures(workspace, profile.subject.version),
            recipe_maker(profile, renderer),
            renderer,
            evaluate.workspace_eyes(workspace, renderer.server.client),
            fresh=scouted.reserve,
            on_part=part,
            on_picture=bar("rounds"),
            on_tagged=bar("judge"),
            on_measured=bar("measure"),
        )
    _show_winner(profile, workspace, verdict)
    return verdict


def price_rounds(
    profile: Profile, workspace: Workspace, renderer: Renderer, deployed: Sequence[Deployed]
) -> tuple[Price, Price]:
    """What the rounds cost at least (the first look) and at most (the budget, or everything there is to draw). Raises
    as `evaluate_version` does before anything is drawn.
    """
    from orchestrator.evaluation.price import price_rounds as price
    from orchestrator.evaluation.records import read_scout

    scouted = read_scout(workspace, profile.subject.version)
    if scouted is None:
        raise WorkspaceError("The seeds are not scouted yet.", fix="Run `orchestrator scout` first.")
    make = recipe_maker(profile, renderer)
    return price(profile, scouted.seeds, scouted.reserve, deployed, make, renderer.cache)


def _show_winner(profile: Profile, workspace: Workspace, verdict: Verdict) -> None:
    from orchestrator.grid.winners import highlight

    winner = verdict.recommended
    if winner is not None and winner.epoch is not None:
        for grid in profile.grids:
            folder = workspace.grid(f"{profile.subject.version} {grid.name}")
            highlight(folder, winner.epoch, winner.weight, verdict.lora_files)


def publish_winner(profile: Profile, workspace: Workspace, name: str, folder: Path) -> tuple[Published, Path]:
    """evaluation → lora: the verdict's winner as `<name>.safetensors` in `folder`, A1111's card and preview beside it,
    and a folder to give away in the workspace: the file, a model card, sample pictures, what a model site asks for.
    Returns the card's path too.

    Raises `WorkspaceError` before there is a verdict, `InputError` where it recommends nothing or is about other files.
    """
    from orchestrator.evaluation.records import read_observations, read_verdict
    from orchestrator.files import read_json, write_bytes
    from orchestrator.lora.publish import card, publish
    from orchestrator.render.cache import PictureCache
    from orchestrator.report import model_card
    from orchestrator.training.runs import current_run

    version = profile.subject.version
    verdict = read_verdict(workspace, version)
    if verdict is None:
        raise WorkspaceError("There is no verdict yet, so no winner.", fix="Run `orchestrator evaluate` first.")
    run = current_run(workspace, profile.run_name)
    cell, lora = model_card.check_winner(verdict, lora_files(workspace, run.name))
    described = card(
        lora,
        run=run.name,
        family=run.base.get("family", ""),
        trigger=profile.trigger,
        weight=cell.weight,
        base_sha256=run.base.get("sha256", ""),
    )
    published = publish(lora, folder, name, card={**described, "notes": f"{described['notes']}. {verdict.text}"})
    cache, observations = PictureCache(workspace.cache), read_observations(workspace, version)
    proofs = {o.key: cache.proof(o.key) for o in observations if o.cell == cell and o.key}
    samples = model_card.choose_samples(observations, cell, {key: p.get("recipe") for key, p in proofs.items()})
    preview = published.path.with_suffix(".preview.png")
    if samples and not preview.exists():
        write_bytes(preview, samples[0].path.read_bytes())
    about = model_card.About(
        published.path.stem,
        profile.trigger,
        lora,
        cell,
        verdict,
        run.model_dump(mode="json"),
        read_json(workspace.dataset(version) / "manifest.json") or {},
        samples,
        taste(workspace, version),
        any(p.get("simulated") for p in proofs.values()),
    )
    return published, model_card.write_package(workspace.published(about.name), about)


@contextlib.contextmanager
def open_votes(
    workspace: Workspace, version: str, *, count: int, finalists: int, port: int = 0, say: Callable[[str], object] = str
) -> Iterator[Open]:
    """evaluation → votes: the page for the finalists of a version's verdict, served until the block is left. Raises as
    `votes.begin.begin`.
    """
    from orchestrator.evaluation.records import read_observations
    from orchestrator.evaluation.votes.begin import begin
    from orchestrator.evaluation.votes.server import Booth, voting
    from orchestrator.evaluation.votes.taste import taste_of

    votes, path, moved = begin(workspace, version, count=count, finalists=finalists)
    if moved is not None:
        say(f"The votes on another verdict are kept in {moved.name}.")
    if votes.answers and not votes.done:
        say(f"{len(votes.answers)} of {len(votes.questions)} votes are given already.")
    observations = read_observations(workspace, version)
    with voting(Booth(votes, path, lambda given: taste_of(given, observations).sentences), port) as page:
        yield page


def taste(workspace: Workspace, version: str) -> Taste | None:
    """What the votes on a version's verdict say; None when nobody has voted on it."""
    from orchestrator.evaluation.votes.begin import taste as of

    found = of(workspace, version)
    return found if found is not None and found.votes else None


def write_report(profile: Profile, workspace: Workspace) -> Path:
    """evaluation → report: one self-contained HTML folder over everything the workspace holds. Returns its
    index.html.
    """
    from orchestrator.report.gather import gather
    from orchestrator.report.write import write_report as write

    return write(workspace.report(profile.subject.version), gather(profile, workspace))
