"""READ FIRST: the way of the work, one function per arrow.

    profile ─► pictures ─► dataset ─► training ─► lora ─► grid ─► evaluation ─► report

Every function may be called again: what is complete and unchanged is left alone, what is missing is made. Progress is
told to `on_progress(what, done, total)`. The command line and the demo do nothing but call these.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import InputError, OrchestratorError, WorkspaceError
from orchestrator.files import write_json

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.dataset import foretell
    from orchestrator.dataset.balance import Balance
    from orchestrator.dataset.bucket_preview import Bucket, Placed
    from orchestrator.dataset.foretell import Compared
    from orchestrator.dataset.model import CheckResult, Dataset, DatasetPicture, Finding
    from orchestrator.dataset.tag_captions import TaggedCaptions
    from orchestrator.evaluation.ramp import RampResult
    from orchestrator.evaluation.scout import ScoutResult
    from orchestrator.evaluation.verdict import Verdict
    from orchestrator.evaluation.votes.server import Open
    from orchestrator.evaluation.votes.taste import Taste
    from orchestrator.grid.cells import Grid, MakeRecipe
    from orchestrator.grid.definition import Definition
    from orchestrator.grid.here import FilesOf
    from orchestrator.grid.manifest import Manifest
    from orchestrator.grid.render import GridResult
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.lora.catalog import LoraFile
    from orchestrator.lora.deploy import Deployed
    from orchestrator.lora.publish import Published
    from orchestrator.pictures.making import MadeSet
    from orchestrator.pictures.price import Price
    from orchestrator.pictures.ramp import Ramp
    from orchestrator.pictures.sources import Source
    from orchestrator.profile.model import Expectation, Guard, PictureSet, Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.training.events import TrainingEvent
    from orchestrator.training.preflight import Ready
    from orchestrator.training.run import TrainingRun
    from orchestrator.vision.model import Measurement
    from orchestrator.workspace import Workspace

OnProgress = Callable[[str, int, int], None]
#: How long a training that is over waits for A1111 to answer that it has unloaded (it may be drawing), in seconds.
_UNLOADED_WITHIN_S = 10.0


def _quiet(what: str, done: int, total: int) -> None:
    """Progress nobody watches."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """A dataset check with what it looked at."""

    pictures: list[DatasetPicture]
    measurements: list[Measurement]
    result: CheckResult
    #: Whether the sandbox drew the pictures.
    simulated: bool = False


def open_renderer(
    profile: Profile, workspace: Workspace, client: A1111, others: Iterable[A1111] = (), **how: Any
) -> Renderer:
    """Find out what the server is and make ready to draw with the profile's checkpoint, through the workspace's cache.

    `others` help where they draw the same; one that cannot be used is told to `say` and left out. `how` are fields of
    `Renderer`: patience, keepers, restart_every, say.
    """
    from orchestrator.render.cache import PictureCache
    from orchestrator.render.engine import Renderer
    from orchestrator.render.server import connect

    base = profile.base
    server = connect(client, base.checkpoint, base.vae, memory=workspace.cache)
    helping = []
    for other in others:
        try:
            helping.append(connect(other, base.checkpoint, base.vae, memory=workspace.cache))
        except OrchestratorError as error:
            how.get("say", str)(f"{other.url} is left out: {error.what}")
    return Renderer(server, PictureCache(workspace.cache), others=tuple(helping), **how)


def recipe_maker(profile: Profile, renderer: Renderer) -> MakeRecipe:
    """`(prompt, seed, loras) → recipe` with everything else as the profile says."""
    from orchestrator.pictures.recipes import make_recipe

    return lambda prompt, seed, loras: make_recipe(profile, renderer.server, prompt, seed, loras)


def make_pictures(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    *,
    only: Iterable[str] = (),
    on_progress: OnProgress = _quiet,
) -> list[MadeSet]:
    """profile → pictures: make the picture sets (all, or those named), in the profile's order."""
    from orchestrator.pictures.sets import make_set

    wanted = _named([s.name for s in profile.pictures], only, "picture set")
    made = []
    for picture_set in profile.pictures:
        if picture_set.name in wanted:
            what = f"pictures: {picture_set.name}"
            done = functools.partial(on_progress, what)
            made.append(_refused_shown(make_set(profile, picture_set, workspace, renderer, done)))
    return made


def _refused_shown(made: MadeSet) -> MadeSet:
    """Draw the sheet of what was set aside, and say where it is."""
    if not made.refused:
        return made
    from orchestrator.grid.before_after import write_refused

    sheet = write_refused(made.folder, made.name, made.refused)
    return dataclasses.replace(made, notes=(*made.notes, f"they stand beside their sources on {sheet}"))


def check_dataset(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = _quiet) -> Checked:
    """pictures → dataset, first half: look at what would be trained on, and say what it would lock in.

    The result is kept beside the dataset, as JSON and as a page, with what it lets expect of the LoRA. Raises
    `DatasetError` or `WorkspaceError` when pictures are not there yet.
    """
    from orchestrator.dataset import about_folders, collect, foretell
    from orchestrator.dataset.view import views

    pictures = collect(profile, workspace)
    checked = _checked(profile, workspace, pictures, beside=about_folders.look(pictures), on_progress=on_progress)
    version = profile.subject.version
    write_json(workspace.check(version), checked.result.to_dict())
    foretold = foretell.foretell(views(pictures, checked.measurements, profile.dataset.groups))
    foretell.keep(workspace.foretold(version), foretold)
    _write_check_page(profile, workspace, checked)
    return checked


def check_built(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = _quiet) -> Checked | None:
    """dataset → training: the same check on the dataset as it was built, which is what is trained on. Writes nothing;
    None before it is built.
    """
    from orchestrator.dataset.on_disk import as_pictures

    pictures = as_pictures(workspace, profile.subject.version)
    return _checked(profile, workspace, pictures, on_progress=on_progress) if pictures else None


def _checked(
    profile: Profile,
    workspace: Workspace,
    pictures: list[DatasetPicture],
    *,
    beside: Sequence[Finding] = (),
    on_progress: OnProgress,
) -> Checked:
    from orchestrator.dataset import check
    from orchestrator.tagging.asking import known_tags
    from orchestrator.vision import measure

    measurements = measure(
        [picture.path for picture in pictures],
        workspace.cache,
        on_measured=_counter(on_progress, "look at the dataset", len(pictures)),
    )
    tags, seen_from = known_tags([picture.sha256 for picture in pictures], workspace.tags)
    simulated = _simulated(workspace, pictures)
    result = check(
        pictures,
        measurements,
        profile.dataset.limits,
        profile.dataset.groups,
        trigger=profile.trigger,
        tags=tags,
        seen_from=seen_from,
        left_out=profile.dataset.balance,
        beside=beside,
        simulated=simulated,
    )
    return Checked(pictures, measurements, result, simulated)


def _simulated(workspace: Workspace, pictures: Sequence[DatasetPicture]) -> bool:
    """Whether the sandbox drew pictures of these, by the proof of one of each set."""
    from orchestrator.render.cache import PictureCache

    cache = PictureCache(workspace.cache)
    keys = {picture.source: str(picture.origin.get("recipe_key") or "") for picture in pictures}
    return any(bool(cache.proof(key).get("simulated")) for key in keys.values() if key)


def _write_check_page(profile: Profile, workspace: Workspace, checked: Checked) -> None:
    from orchestrator.dataset import check_page
    from orchestrator.files import write_text
    from orchestrator.pages.thumbnails import thumbnails

    version = profile.subject.version
    text = check_page.page(
        f"{profile.subject.name} {version}: dataset check",
        checked.result,
        checked.pictures,
        checked.measurements,
        thumbnails(_contents(checked), workspace.cache),
        limit_deg=profile.dataset.limits.mean_roll,
        created=_today(),
        simulated=checked.simulated,
    )
    write_text(workspace.check_page(version), text, durable=False)


def review_captions(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = _quiet) -> Path:
    """pictures → captions: the page on which they are looked through and changed. Returns it."""
    from orchestrator.dataset import caption_page
    from orchestrator.dataset.tag_words import caption_words
    from orchestrator.files import write_text
    from orchestrator.pages.thumbnails import thumbnails
    from orchestrator.tagging.asking import known_tags

    checked = check_dataset(profile, workspace, on_progress=on_progress)
    version = profile.subject.version
    tags, seen_from = known_tags([picture.sha256 for picture in checked.pictures], workspace.tags)
    blocked = profile.dataset.blocked_tags
    text = caption_page.page(
        f"{profile.subject.name} {version}: captions",
        checked.result,
        checked.pictures,
        checked.measurements,
        thumbnails(_contents(checked), workspace.cache),
        {sha256: caption_words(each, seen_from=seen_from, blocked=blocked) for sha256, each in tags.items()},
        created=_today(),
        simulated=checked.simulated,
    )
    return write_text(workspace.captions_page(version), text, durable=False)


def compare_foretold(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = _quiet) -> list[Compared]:
    """grid → dataset: what the dataset let expect, beside what the grids of the trained LoRA show. Kept per version.

    Raises `WorkspaceError` when there is no expectation, or no grid to hold it against.
    """
    from orchestrator.dataset import foretell
    from orchestrator.grid import manifest as manifests
    from orchestrator.vision import measure

    version = profile.subject.version
    kept = workspace.foretold(version)
    foretold = foretell.read(kept)
    if foretold is None:
        raise WorkspaceError(f"Nothing was foretold of {version}.", fix="Run `orchestrator dataset check` first.")
    drawn: list[tuple[Path, foretell.Asked]] = []
    for grid in profile.grids:
        folder = workspace.grid(f"{version} {grid.name}")
        manifest = manifests.find(folder)
        drawn += [(folder / file, asked) for file, asked in _asked(manifest)] if manifest else []
    if not drawn:
        raise WorkspaceError(
            f"No grid of {version} shows what became of it.", fix="Train it, then run `orchestrator grid render`."
        )
    counter = _counter(on_progress, "look at the grids", len({path for path, _ in drawn}))
    seen = measure([path for path, _ in drawn], workspace.cache, on_measured=counter)
    compared = foretell.compare(foretold, [(asked, found) for (_, asked), found in zip(drawn, seen, strict=True)])
    foretell.keep(kept, foretold, compared)
    return compared


def _asked(manifest: Manifest) -> Iterator[tuple[str, foretell.Asked]]:
    """The pictures of a grid that show a LoRA at work, with what each was asked for."""
    from orchestrator.dataset import foretell

    epochs = manifest.axis("epoch")
    last = max(map(int, epochs.values)) if epochs else 1
    for cell in manifest.cells:
        recipe = manifest.recipe_of(cell)
        if not cell.picture or cell.is_baseline or not recipe or not recipe.get("loras"):
            continue
        # Without an axis of epochs it is the last one that is drawn.
        progress = int(manifest.value_of(cell, "epoch") or last) / last
        asked = foretell.Asked(recipe["prompt"], progress, recipe["loras"][0]["weight"], recipe["seed"])
        if foretell.is_trained(asked):
            yield cell.picture, asked


def _contents(checked: Checked) -> list[tuple[Path, str]]:
    return [
        (p.path, m.sha256 if m.readable else "") for p, m in zip(checked.pictures, checked.measurements, strict=True)
    ]


def _today() -> str:
    import datetime

    return f"{datetime.datetime.now().astimezone():%d %B %Y, %H:%M}"


def tag_captions(
    profile: Profile,
    workspace: Workspace,
    server: A1111,
    pictures: Sequence[DatasetPicture],
    *,
    model: str = "",
    seen_from: float | None = None,
    blocked: Sequence[str] = (),
    on_progress: OnProgress = _quiet,
) -> TaggedCaptions:
    """pictures → captions: ask the server's tagger what it sees, and keep it as the words of the pictures' captions."""
    from orchestrator.dataset.tag_captions import tag_captions as tag

    return tag(
        workspace,
        pictures,
        server,
        model=model,
        seen_from=seen_from,
        blocked=(*profile.dataset.blocked_tags, *blocked),
        on_tagged=_counter(on_progress, "tag pictures", len(pictures)),
    )


def preview_buckets(
    profile: Profile, workspace: Workspace, *, on_progress: OnProgress = _quiet
) -> tuple[list[Bucket], list[Placed]]:
    """pictures → dataset: in which bucket each picture will be trained, and what is cut off there."""
    from orchestrator.dataset import bucket_preview
    from orchestrator.kohya import dataset_config

    checked = check_dataset(profile, workspace, on_progress=on_progress)
    repeats = {group.name: group.repeats for group in profile.dataset.groups}
    pictured = [
        bucket_preview.Pictured(
            f"{picture.group}/{picture.path.name}",
            (found.width, found.height),
            repeats[picture.group],
            found.face.box if found.face else None,
        )
        for picture, found in zip(checked.pictures, checked.measurements, strict=True)
        if found.readable
    ]
    options = dataset_config.values(
        [dataset_config.Subset(workspace.root)],
        resolution=profile.dataset.resolution,
        batch_size=profile.training.batch_size,
    )
    return bucket_preview.preview(pictured, options["datasets"][0])


def balance_dataset(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = _quiet) -> Balance:
    """pictures → dataset: what would make the trainer see the groups equally often, and lock nothing in. Writes
    nothing but the check.
    """
    from orchestrator.dataset.balance import propose
    from orchestrator.dataset.view import views

    checked = check_dataset(profile, workspace, on_progress=on_progress)
    groups = profile.dataset.groups
    return propose(views(checked.pictures, checked.measurements, groups), profile.dataset.limits)


def build_dataset(
    profile: Profile,
    workspace: Workspace,
    pictures: Sequence[DatasetPicture] | None = None,
    *,
    on_progress: OnProgress = _quiet,
) -> Dataset:
    """pictures → dataset, second half: kohya's folders, captions, and where everything came from; balanced where the
    profile says so (`dataset.balance`).
    """
    from orchestrator.dataset import build, collect
    from orchestrator.dataset.balance import balanced

    chosen = list(pictures) if pictures is not None else collect(profile, workspace)
    if profile.dataset.balance:
        profile, chosen = balanced(profile, chosen, balance_dataset(profile, workspace, on_progress=on_progress))
    return build(profile, workspace, chosen)


def check_training(profile: Profile, workspace: Workspace, install: KohyaInstall, checkpoint: Path) -> None:
    """Raise `TrainingRefused` with everything that speaks against the training and can be told before there are
    pictures.
    """
    from orchestrator.errors import TrainingRefused
    from orchestrator.training.inputs import Looked
    from orchestrator.training.plan import draft

    problems = draft(profile, install, workspace, checkpoint, Looked(None)).problems
    if problems:
        raise TrainingRefused(problems)


def train_version(
    profile: Profile,
    workspace: Workspace,
    install: KohyaInstall,
    checkpoint: Path,
    *,
    a1111: Callable[[], A1111] | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingRun:
    """dataset → training: train this version, go on with what was interrupted, or return what is finished.

    Nothing is started while anything speaks against it (`TrainingRefused`). With `a1111`, which opens a client, A1111
    frees the graphics card's memory for as long as sd-scripts trains.
    """
    from orchestrator.training.preflight import preflight

    ready = preflight(profile, install, workspace, checkpoint=checkpoint)
    return train_ready(ready, a1111=a1111, on_event=on_event)


def train_ready(
    ready: Ready,
    *,
    a1111: Callable[[], A1111] | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingRun:
    """Train what `preflight` found nothing against. What it doubts is told when the training is really begun."""
    from orchestrator.training.events import Note, Started
    from orchestrator.training.run import train
    from orchestrator.training.runs import note_asked

    doubts = list(ready.doubts)
    with _card_for_training(a1111, on_event) as listener:

        def listen(event: TrainingEvent) -> None:
            if isinstance(event, Started) and not event.adopted and not event.resumed_from:
                while doubts:
                    listener(Note(f"Worth a look: {doubts.pop(0)}"))
            listener(event)

        run = train(ready.planned, on_event=listen)
    note_asked(run.folder)
    return run


def resume_run(
    workspace: Workspace,
    name: str,
    *,
    guard: Guard | None = None,
    a1111: Callable[[], A1111] | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingRun:
    """Go on with the run `name` as it was begun, whatever the profile says by now but for `guard`."""
    from orchestrator.training import runs

    with _card_for_training(a1111, on_event) as listener:
        run = runs.resume(workspace, name, listener, guard=guard)
    runs.note_asked(run.folder)
    return run


@contextlib.contextmanager
def _card_for_training(
    a1111: Callable[[], A1111] | None, on_event: Callable[[TrainingEvent], None] | None
) -> Iterator[Callable[[TrainingEvent], None]]:
    """Gives the listener to train with: A1111 frees the card once the trainer runs, and loads its checkpoint again at
    the end.

    In a thread: sd-scripts takes longer to load than A1111 to unload, and a webui that is drawing or hung must not keep
    the training from starting.
    """
    from orchestrator.training.events import Started

    tell = on_event or (lambda event: None)
    if a1111 is None:
        yield tell
        return
    opened: list[A1111] = []
    threads: list[threading.Thread] = []

    def unload() -> None:
        # A webui that is not running holds nothing; one that cannot unload (forks) may still leave enough memory.
        with contextlib.suppress(OrchestratorError):
            client = a1111()
            client.unload_checkpoint()
            opened.append(client)

    def listen(event: TrainingEvent) -> None:
        if isinstance(event, Started) and not threads:
            threads.append(threading.Thread(target=unload, name="unload A1111", daemon=True))
            threads[0].start()
        tell(event)

    try:
        yield listen
    finally:
        for thread in threads:
            thread.join(_UNLOADED_WITHIN_S)
        for client in opened:
            # The training's own outcome matters more than a webui that was closed meanwhile; it loads by itself when it
            # is asked to draw.
            with contextlib.suppress(OrchestratorError):
                client.reload_checkpoint()


def base_checkpoint(profile: Profile, workspace: Workspace, renderer: Renderer | None) -> Path:
    """The checkpoint's file to train on: the profile's `base.path`, else the file A1111 draws with.

    Raises `InputError` when neither names a file on this machine.
    """
    named = profile.base.path or (renderer.server.checkpoint_path if renderer else "")
    path = workspace.named(named)
    if named and path.exists():
        return path
    raise InputError(
        f"The base checkpoint {named!r} is not on this machine."
        if named
        else "The base checkpoint to train on is not named.",
        cause="A1111 runs on another machine, or its file has moved." if not profile.base.path else "",
        fix="Give its file as `base.path` in lora.toml.",
    )


def deploy_run(
    workspace: Workspace,
    run_name: str,
    client: A1111,
    lora_folder: str = "",
    others: Iterable[tuple[A1111, str]] = (),
    say: Callable[[str], object] = str,
) -> list[Deployed]:
    """training → lora: put every LoRA file of a run where A1111 finds it, under stems that were never used.

    `others` are further servers with their folders; one that cannot be given the files is told to `say`.
    """
    from orchestrator.lora.deploy import deploy, find_lora_folder

    files = lora_files(workspace, run_name, say)
    placed = deploy(files, find_lora_folder(client, lora_folder or None), client)
    for other, folder in others:
        try:
            deploy(files, find_lora_folder(other, folder or None), other)
        except OrchestratorError as error:
            say(f"{other.url} does not get the LoRA files: {error.what}")
    return placed


def lora_files(workspace: Workspace, run_name: str, say: Callable[[str], object] = str) -> list[LoraFile]:
    """The usable LoRA files of a version's current run. Raises `WorkspaceError` when there are none; a run that ended
    early is told to `say`.
    """
    from orchestrator.lora.catalog import catalog
    from orchestrator.training.runs import current_run

    run = current_run(workspace, run_name)
    if run.status != "finished":
        last = max(file.epoch for file in run.files)
        say(f"{run.name} ended early ({run.status}): its files up to epoch {last} of {run.epochs} are used.")
    return catalog(workspace.run(run.name) / "lora")


def publish_epoch(
    profile: Profile,
    workspace: Workspace,
    epoch: int,
    name: str,
    folder: Path,
    *,
    run_name: str = "",
    weight: float = 0,
) -> Published:
    """training → lora: one epoch of a run (the profile's when not named) as `<name>.safetensors` in `folder`, with the
    card A1111 shows for it. Raises `InputError` for an epoch that was not saved and a name that is taken.
    """
    from orchestrator.lora.publish import card, publish
    from orchestrator.training.runs import current_run

    run = current_run(workspace, run_name or profile.run_name)
    files = {file.epoch: file for file in lora_files(workspace, run.name)}
    if epoch not in files:
        raise InputError(
            f"{run.name} has no LoRA file of epoch {epoch}.", fix=f"There are: {', '.join(map(str, files)) or 'none'}."
        )
    own = run.values.get("output_name") == workspace.run(profile.run_name).name
    described = card(
        files[epoch],
        run=run.name,
        family=run.base.get("family", ""),
        # The trigger of another version may have been another one.
        trigger=profile.trigger if own else "",
        weight=weight,
        base_sha256=run.base.get("sha256", ""),
    )
    return publish(files[epoch], folder, name, card=described)


def check_grids(profile: Profile, workspace: Workspace, renderer: Renderer) -> None:
    """Raise `InputError` for everything the profile's grids name that the server does not have: before a night of
    training, not after it.
    """
    from orchestrator.grid.here import check_names, definitions_of

    check_names(definitions_of(profile), renderer.server, workspace.root)


def plan_grids(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    files_of: FilesOf,
    *,
    only: Iterable[str] = (),
    definitions: Sequence[Definition] | None = None,
) -> list[Grid]:
    """lora → grid, first half: every cell with its recipe. Of all of the profile's grids, those named, or
    `definitions`.

    `files_of` gives the LoRA files of a run by its name. Draws nothing but the tiny picture that tells what a server
    is. Raises one `InputError` for everything that is wrong.
    """
    from orchestrator.grid.here import definitions_of, plan_here

    if definitions is None:
        names = [grid.name for grid in profile.grids]
        # `grid list` shows them with the version before them: that is what people type.
        asked = [name if name in names else name.removeprefix(f"{profile.subject.version} ") for name in only]
        definitions = definitions_of(profile, _named(names, asked, "grid"))
    return plan_here(definitions, renderer.server, files_of, workspace.root)


def not_deployed(workspace: Workspace) -> FilesOf:
    """Gives the LoRA files of a run as deploying would name them, without copying any: for a dry run."""
    from orchestrator.lora.deploy import Deployed, deployed_stem

    return lambda run: [Deployed(file, deployed_stem(file), file.path, "") for file in lora_files(workspace, run)]


def draw_grids(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    deployed: Sequence[Deployed] = (),
    *,
    files_of: FilesOf | None = None,
    only: Iterable[str] = (),
    grids: Sequence[Grid] | None = None,
    native: bool = False,
    on_progress: OnProgress = _quiet,
) -> list[GridResult]:
    """lora → grid: all of the profile's grids, those named, or `grids`, which `plan_grids` made.

    `deployed` are the LoRA files of the profile's run; of other versions `files_of` gives them. With `native`, the
    webui's own X/Y/Z plot draws the cells it can.
    """
    from orchestrator.grid.render import render_grid
    from orchestrator.render.native import NativeRenderer

    def ours(run: str) -> Sequence[Deployed]:
        return deployed if deployed and run == profile.run_name else deploy_run(workspace, run, renderer.server.client)

    if grids is None:
        grids = plan_grids(profile, workspace, renderer, files_of or ours, only=only)
    return [
        render_grid(
            grid,
            NativeRenderer(renderer) if native else renderer,
            workspace.grid(f"{profile.subject.version} {grid.name}"),
            title=f"{profile.run_name}: {grid.name}",
            simulated=renderer.server.simulated,
            server_version=renderer.server.version,
            on_picture=_counter(on_progress, f"grid: {grid.name}", len(grid.recipes)),
        )
        for grid in grids
    ]


def scout_seeds(
    profile: Profile, workspace: Workspace, renderer: Renderer, *, on_progress: OnProgress = _quiet
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
        on_picture=_counter(on_progress, "scout seeds", total),
        on_tagged=_counter(on_progress, "judge seeds", total),
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
    on_progress: OnProgress = _quiet,
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
        bars.update({what: _counter(on_progress, what + which, pictures) for what in ("rounds", "judge", "measure")})

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


def dataset_pictures(workspace: Workspace, version: str) -> list[Path]:
    """The pictures a version was trained on. Raises `WorkspaceError` when its dataset is not built."""
    from orchestrator.dataset.on_disk import built_pictures

    found = built_pictures(workspace, version)
    if not found:
        raise WorkspaceError(
            f"The dataset of {version} is not built yet.", fix="Run `orchestrator dataset build` first."
        )
    return found


def _named(names: Sequence[str], only: Iterable[str], kind: str) -> set[str]:
    chosen = list(only)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InputError(
            f"The profile has no {kind} {', '.join(map(repr, unknown))}.", fix=f"It has: {', '.join(names) or 'none'}."
        )
    return set(chosen or names)


def _counter(on_progress: OnProgress, what: str, total: int) -> Callable[..., None]:
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        on_progress(what, done, total)

    return count


def price_pictures(
    profile: Profile, workspace: Workspace, renderer: Renderer, *, only: Iterable[str] = ()
) -> tuple[int, Price]:
    """How many of the profile's picture sets (all, or those named) are not made yet, and what they cost together.

    Pictures of sets whose source is not made yet count as not made.
    """
    from orchestrator.pictures.price import price_set, together
    from orchestrator.pictures.sets import planned_pictures

    wanted = _named([s.name for s in profile.pictures], only, "picture set")
    planned: dict[str, int] = {}
    prices = []
    for picture_set in profile.pictures:
        of_source = planned.get(picture_set.source, 0)
        planned[picture_set.name] = planned_pictures(picture_set, of_source)
        if picture_set.name in wanted:
            prices.append(price_set(profile, picture_set, workspace, renderer, of_source))
    return sum(bool(one.to_draw) for one in prices), together(prices)


def vary_pictures(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    picture_set: PictureSet,
    sources: Sequence[Source],
    *,
    on_progress: OnProgress = _quiet,
) -> MadeSet:
    """pictures → pictures: `sources` × changes × seeds as the set that `picture_set` describes, which is not in the
    profile.
    """
    from orchestrator.pictures.ramp import refuse_drawn_over
    from orchestrator.pictures.sets import make_set

    refuse_drawn_over(profile, workspace, picture_set.name, "vary")
    what = f"pictures: {picture_set.name}"
    done = functools.partial(on_progress, what)
    return _refused_shown(make_set(profile, picture_set, workspace, renderer, done, given=sources, made_by="vary"))


def ramp_pictures(
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    ramp: Ramp,
    *,
    expects: Expectation | None = None,
    on_progress: OnProgress = _quiet,
) -> tuple[RampResult, Path]:
    """Draw a ramp, count its hits, mark where img2img loses the person, and draw its contact sheet."""
    from orchestrator.evaluation.evaluate import workspace_eyes
    from orchestrator.evaluation.ramp import look_at_ramp
    from orchestrator.evaluation.ramp_sheet import write_ramp_sheet
    from orchestrator.files import picture_files
    from orchestrator.pictures.ramp import draw_ramp

    drawn = draw_ramp(profile, workspace, renderer, ramp, functools.partial(on_progress, f"pictures: {ramp.name}"))
    # The other pictures of the set a source lies in show the same person.
    folders = dict.fromkeys(source.path.parent for source in ramp.sources)
    sets = workspace.picture_set(ramp.name).parent
    siblings = [path for folder in folders if folder.parent == sets for path in picture_files(folder)]
    given = {source.path for source in ramp.sources}
    looked_at = sum(not picture.error for picture in drawn.pictures)
    result = look_at_ramp(
        drawn,
        workspace_eyes(workspace, renderer.server.client),
        expects=expects,
        same_person=[path for path in siblings if path not in given],
        simulated=renderer.server.simulated,
        on_looked=_counter(on_progress, f"look for {expects}", looked_at) if expects else None,
    )
    return result, write_ramp_sheet(result, workspace)


def picture_sheet(workspace: Workspace, name: str, *, columns: int = 0) -> Path:
    """Draw the contact sheet of a picture set; of a ramp, with its settings and what was seen. Returns the PNG."""
    from orchestrator.evaluation.ramp import read_ramp
    from orchestrator.evaluation.ramp_sheet import write_ramp_sheet
    from orchestrator.grid.set_sheet import write_set_sheet

    folder = workspace.picture_set(name)
    ramp = read_ramp(folder)
    return write_set_sheet(folder, columns=columns) if ramp is None else write_ramp_sheet(ramp, workspace)
