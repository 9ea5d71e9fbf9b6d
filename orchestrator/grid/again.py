"""A grid drawn again, from start to end: what it is to be drawn from, on which server, into which folder, and what it
looked like before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, WorkspaceError
from orchestrator.grid.before import keep_before
from orchestrator.grid.cells import DeployedLora
from orchestrator.grid.changes import changes
from orchestrator.grid.crops import crops_of
from orchestrator.grid.definition import Definition, from_dict, from_profile
from orchestrator.grid.from_a1111 import FromA1111
from orchestrator.grid.here import FilesOf
from orchestrator.grid.manifest import Entry, Manifest, find
from orchestrator.grid.materials import Deploys, Materials
from orchestrator.grid.origin import Origin, folder_for
from orchestrator.grid.pairs import Side
from orchestrator.grid.placing import checkpoint_here, files_here, place_a1111
from orchestrator.grid.planning import plan
from orchestrator.grid.reading import MANY_CELLS, count, read
from orchestrator.grid.regenerate import Again, WithGaps, exactly, today
from orchestrator.grid.render import GridResult, render_grid
from orchestrator.grid.stock import take_stock
from orchestrator.profile.model import Profile
from orchestrator.render.engine import Renderer
from orchestrator.render.recipe import Recipe
from orchestrator.render.server import Server, connect
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class PlannedAgain:
    """A grid about to be drawn again into `folder`. `notes` are what a person should know before, a sentence each.

    `origin` is None for pictures of A1111's, which were no grid of ours before. `renderer` is on the checkpoint that
    the grid was drawn with.
    """

    again: Again
    origin: Origin | None
    folder: Path
    title: str
    notes: tuple[str, ...]
    renderer: Renderer


@dataclass(frozen=True)
class DrawnAgain:
    """A grid as it was drawn again. `before` is where it is kept as it was; None where nothing of it was replaced."""

    result: GridResult
    before: Path | None


def plan_again(
    origin: Origin | FromA1111,
    profile: Profile,
    workspace: Workspace,
    renderer: Renderer,
    files_of: FilesOf,
    deploy: Deploys,
    *,
    exact: bool = False,
    init: Path | None = None,
) -> PlannedAgain:
    """Plan `origin` anew: `exact` from the recipes of its cells, else its definition with what is here today.

    `files_of` gives the deployed files of a run, `deploy` gives the server a single one that was found by its content.
    `init` is the picture img2img starts from, where it cannot be found. Nothing is drawn. Raises `InputError` for what
    nothing here answers to.
    """
    if isinstance(origin, FromA1111):
        if exact:
            raise InputError(
                "A picture of A1111's cannot be drawn again exactly: it names its files by a few digits, and a plot "
                "only those of its first cell.",
                fix="Leave out --exact; what is other than it was is said.",
            )
        return _from_a1111(origin, workspace, renderer, deploy)
    old = origin.manifest
    server, notes = renderer.server, list[str]()
    definition = None
    if exact:
        if not old.cells:
            raise InputError(
                f"{origin.source} carries no recipes: a JPEG or WebP holds those of a few thousand cells at most.",
                fix="Give the manifest.json of the grid, or ask the same question anew, without --exact.",
            )
    else:
        definition = _definition(origin, profile, workspace, init)
        server, notes = _server(definition, old, server)
        _check_size(definition, origin)
    renderer = renderer if server is renderer.server else replace(renderer, server=server)
    materials = Materials(
        server,
        lambda: files_here(workspace),
        deploy,
        trusted=origin.trusted,
        pictures=tuple(_pictures(old, workspace, init, trusted=origin.trusted)),
    )

    def is_made(recipe: Recipe) -> bool:
        return renderer.cache.has(recipe.key)

    if definition is None:
        again = exactly(old, materials, is_made)
    else:
        runs = _runs(definition, files_of)
        again = today(old, definition, materials, runs, is_made, workspace.root)
    folder = origin.folder if origin.own and origin.folder is not None else folder_for(old, workspace)
    return PlannedAgain(again, origin, folder, old.title, tuple(notes), renderer)


def draw_again(planned: PlannedAgain, on_picture: Callable[[Any], None] | None = None) -> DrawnAgain:
    """Draw what changed and is missing; what it looked like before is kept where pictures are replaced.

    Raises what `render_grid` raises.
    """
    renderer, again = planned.renderer, planned.again
    known = find(planned.folder)
    kept = None
    if known is not None:
        staying = {cell.recipe.key for cell in again.grid.cells if cell.recipe is not None}
        if any(entry.state == "ready" and entry.key not in staying for entry in known.cells):
            kept = keep_before(planned.folder, known)
    problems = {key: why for key, why in again.problems.items() if not renderer.cache.has(key)}
    result = render_grid(
        again.grid,
        WithGaps(renderer, renderer.cache, problems),
        planned.folder,
        title=planned.title,
        simulated=renderer.server.simulated,
        server_version=renderer.server.version,
        on_picture=on_picture,
    )
    return DrawnAgain(result, kept)


def sides(planned: PlannedAgain, drawn: DrawnAgain) -> tuple[Side, Side]:
    """The grid as it was and as it is, to be compared. Raises `InputError` for what was no grid before."""
    origin = planned.origin
    if origin is None:
        raise InputError("A picture of A1111's has no cells to lay beside the new ones.", fix="Look at both files.")
    cache, now = planned.renderer.cache, find(planned.folder)
    assert now is not None
    crop = crops_of(origin.source, origin.manifest) if origin.folder is None else None

    again = planned.again
    changed = (again.grid.cell(change.at).recipe for change in again.changes.cells)
    drawn_now = {recipe.key for recipe in changed if recipe is not None}

    def before(entry: Entry) -> Any:
        if drawn.before is not None and origin.own:
            kept = Origin(origin.manifest, drawn.before, origin.source).picture(entry)
            if kept is not None:
                return kept
        # Its own folder holds the new pictures by now.
        found = None if origin.own else origin.picture(entry) or (crop(entry) if crop is not None else None)
        if found is None and entry.key not in drawn_now and cache.has(entry.key):
            return cache.picture(entry.key)
        return found

    later = Origin(now, planned.folder, planned.folder)
    return Side("before", origin.manifest, before), Side("now", now, later.picture)


def _definition(origin: Origin, profile: Profile, workspace: Workspace, init: Path | None) -> Definition:
    """What is asked today: the profile's grid of that name, if it is this grid's, else what was asked then."""
    then = from_dict(origin.manifest.definition)
    if origin.own and then.subject.version == profile.subject.version:
        now = next((grid for grid in profile.grids if grid.name == then.name), None)
        if now is not None and origin.folder == workspace.grid(f"{profile.subject.version} {now.name}"):
            return from_profile(profile, now)
    if init is not None:
        return replace(then, init=str(init.resolve()))
    if then.init and not origin.trusted:
        raise InputError(
            f"{origin.source} was made by img2img, and the picture it started from ({Path(then.init).name}) is on "
            "another machine.",
            fix="Name that picture with --init FILE.",
        )
    return then


def _check_size(definition: Definition, origin: Origin) -> None:
    """Raise `InputError` for a file from elsewhere that asks for far more than it shows."""
    reading, shown = read(definition), len(origin.manifest.cells)
    lengths = [max(1, len(axis.values)) for axis in reading.axes]
    asked = count(lengths, [axis.kind.lora for axis in reading.axes], baseline=reading.baseline)
    # The sheets of a grid too large for their text hold no cells at all.
    most = max(MANY_CELLS, 2 * shown) if shown else 10 * MANY_CELLS
    if not origin.trusted and asked > most:
        raise InputError(
            f"{origin.source} asks for {asked:,} cells and holds {shown:,}.",
            cause="Somebody has changed it: a grid's definition and its cells go together.",
            fix="Draw what it holds, with --exact." if shown else "Have the grid's manifest.json sent as well.",
        )


def _server(definition: Definition, old: Manifest, server: Server) -> tuple[Server, list[str]]:
    """A server on the definition's checkpoint and VAE. One that is not here is replaced by the one that is loaded, and
    that is told.
    """
    settings, notes = definition.settings, []
    hashes = {
        str(values.get("checkpoint_hash"))
        for values in (old.recipe_of(entry) for entry in old.cells[:1])
        if values and values.get("checkpoint_hash")
    }
    title, note = checkpoint_here(server, settings.checkpoint, next(iter(hashes), ""))
    notes += [note] * bool(note)
    vae = settings.vae
    if vae and vae not in {"Automatic", "None", *(one.model_name for one in server.client.vaes())}:
        notes.append(f"The VAE {vae!r} is not here: the pictures are drawn with the one that is set.")
        vae = ""
    if (title or server.checkpoint, vae) == (server.checkpoint, server.vae):
        return server, notes
    return connect(server.client, title, vae, memory=server.memory), notes


def _runs(definition: Definition, files_of: FilesOf) -> Mapping[str, Sequence[DeployedLora]]:
    found = {}
    for version in read(definition).versions:
        try:
            found[version] = files_of(definition.subject.run(version))
        except WorkspaceError:
            continue  # trained on another machine: looked for by content
    return found


def _pictures(old: Manifest, workspace: Workspace, init: Path | None, *, trusted: bool) -> Iterator[Path]:
    """Where the pictures that recipes start from may lie."""
    if init is not None:
        yield init
    said = old.definition.get("init")
    if trusted and isinstance(said, str) and said:
        yield workspace.root / said


def _from_a1111(found: FromA1111, workspace: Workspace, renderer: Renderer, deploy: Deploys) -> PlannedAgain:
    definition, server, notes = place_a1111(found, workspace, renderer.server, deploy)
    renderer = renderer if server is renderer.server else replace(renderer, server=server)
    reading = read(definition)
    grid = plan(reading, take_stock(reading, server, {}, workspace.root))
    nothing = Manifest(
        definition.name, definition.name, False, grid.definition, grid.axes, grid.x, grid.y, grid.baseline, {}, ()
    )
    held = changes(nothing, grid, lambda recipe: renderer.cache.has(recipe.key))
    return PlannedAgain(
        Again(grid, held, {}), None, folder_for(nothing, workspace), definition.name, tuple(notes), renderer
    )
