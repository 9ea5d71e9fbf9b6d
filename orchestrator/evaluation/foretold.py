"""grid → dataset: what a dataset let expect of its LoRA, held against the pictures of its grids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.dataset import foretell, foretold_file
from orchestrator.dataset.as_built import as_pictures, built_groups
from orchestrator.dataset.on_disk import RUN_COPY, manifest_at, manifest_of
from orchestrator.dataset.view import views
from orchestrator.errors import WorkspaceError
from orchestrator.grid import manifest as manifests
from orchestrator.training.runs import current_run
from orchestrator.vision import measure

if TYPE_CHECKING:
    from orchestrator.dataset.foretell import Asked, Compared, Foretold
    from orchestrator.grid.manifest import Manifest
    from orchestrator.profile.model import Profile
    from orchestrator.training.record import RunRecord
    from orchestrator.vision.model import Measurement
    from orchestrator.workspace import Workspace


def expected(profile: Profile, workspace: Workspace) -> list[Foretold]:
    """What the dataset that the version's run was trained on lets expect; before a training, the one that is built;
    before that, what the last check said.

    Raises `WorkspaceError` when nothing of it is known.
    """
    version = profile.subject.version
    run = _run(profile, workspace)
    copy = manifest_at(workspace.run(run.name) / RUN_COPY) if run is not None else None
    built = manifest_of(workspace.dataset(version))
    if built is not None and (copy is None or copy["fingerprint"] == built["fingerprint"]):
        return foretell_built(profile, workspace)
    record = foretold_file.read(workspace.foretold(version)) or foretold_file.Record()
    if copy is not None:
        if copy["fingerprint"] in record.built:
            return list(record.built[copy["fingerprint"]])
        raise WorkspaceError(
            f"What the dataset of {profile.run_name} let expect is not known: it was built anew since the training.",
            fix="Train on the new one and draw its grids.",
        )
    if not record.foretold:
        raise WorkspaceError(f"Nothing was foretold of {version}.", fix="Run `orchestrator dataset check` first.")
    return list(record.foretold)


def foretell_built(profile: Profile, workspace: Workspace) -> list[Foretold]:
    """What the built dataset lets expect, kept by its fingerprint. Nothing before one is built."""
    version = profile.subject.version
    pictures, manifest = as_pictures(workspace, version), manifest_of(workspace.dataset(version))
    if not pictures or manifest is None:
        return []
    found = measure([picture.path for picture in pictures], workspace.cache)
    told = foretell.foretell(views(pictures, found, built_groups(workspace, version, profile.dataset.groups)))
    foretold_file.keep_built(workspace.foretold(version), manifest["fingerprint"], told)
    return told


def _run(profile: Profile, workspace: Workspace) -> RunRecord | None:
    try:
        return current_run(workspace, profile.run_name)
    except WorkspaceError:
        return None


def drawn(profile: Profile, workspace: Workspace) -> list[tuple[Path, Asked]]:
    """The pictures of the version's grids that show a LoRA of its current run at work, with what each was asked for."""
    run = _run(profile, workspace)
    files = {file.sha256 for file in run.files} if run is not None else set()
    found: list[tuple[Path, Asked]] = []
    for grid in profile.grids:
        folder = workspace.grid(f"{profile.subject.version} {grid.name}")
        manifest = manifests.find(folder)
        found += [(folder / file, asked) for file, asked in _asked(manifest, files)] if manifest else []
    return found


def compare(
    profile: Profile, workspace: Workspace, *, on_measured: Callable[[Path, Measurement], None] | None = None
) -> list[Compared]:
    """What was expected, beside what the grids show; kept for the version. Empty where no grid shows a LoRA at work.

    Raises `WorkspaceError` when nothing was expected.
    """
    told = expected(profile, workspace)
    shown = drawn(profile, workspace)
    if not shown:
        return []
    seen = measure([path for path, _ in shown], workspace.cache, on_measured=on_measured)
    compared = foretell.compare(told, [(asked, found) for (_, asked), found in zip(shown, seen, strict=True)])
    foretold_file.keep_seen(workspace.foretold(profile.subject.version), compared)
    return compared


def _asked(manifest: Manifest, files: Collection[str]) -> Iterator[tuple[str, Asked]]:
    epochs = manifest.axis("epoch")
    last = max(map(int, epochs.values)) if epochs else 1
    for cell in manifest.cells:
        recipe = manifest.recipe_of(cell)
        if not cell.picture or cell.is_baseline or not recipe or not recipe.get("loras"):
            continue
        if files and recipe["loras"][0]["sha256"] not in files:
            # Of a training before this one: the grid was not drawn again yet.
            continue
        # Without an axis of epochs it is the last one that is drawn.
        progress = int(manifest.value_of(cell, "epoch") or last) / last
        asked = foretell.Asked(recipe["prompt"], progress, recipe["loras"][0]["weight"], recipe["seed"])
        if foretell.is_trained(asked):
            yield cell.picture, asked
