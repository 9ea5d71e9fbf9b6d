"""grid → dataset: what a dataset let expect of its LoRA, held against the pictures of its grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.dataset import foretell, foretold_file
from orchestrator.dataset.on_disk import as_pictures, built_groups
from orchestrator.dataset.view import views
from orchestrator.errors import WorkspaceError
from orchestrator.grid import manifest as manifests
from orchestrator.vision import measure

if TYPE_CHECKING:
    from orchestrator.dataset.foretell import Asked, Compared, Foretold
    from orchestrator.grid.manifest import Manifest
    from orchestrator.profile.model import Profile
    from orchestrator.vision.model import Measurement
    from orchestrator.workspace import Workspace


def expected(profile: Profile, workspace: Workspace) -> list[Foretold]:
    """What the dataset as it was built lets expect; where none is built, what the last check said.

    Raises `WorkspaceError` when there is neither.
    """
    version = profile.subject.version
    if pictures := as_pictures(workspace, version):
        found = measure([picture.path for picture in pictures], workspace.cache)
        return foretell.foretell(views(pictures, found, built_groups(workspace, version, profile.dataset.groups)))
    record = foretold_file.read(workspace.foretold(version))
    if record is None:
        raise WorkspaceError(f"Nothing was foretold of {version}.", fix="Run `orchestrator dataset check` first.")
    return list(record.foretold)


def drawn(profile: Profile, workspace: Workspace) -> list[tuple[Path, Asked]]:
    """The pictures of the version's grids that show a LoRA at work, with what each was asked for."""
    found: list[tuple[Path, Asked]] = []
    for grid in profile.grids:
        folder = workspace.grid(f"{profile.subject.version} {grid.name}")
        manifest = manifests.find(folder)
        found += [(folder / file, asked) for file, asked in _asked(manifest)] if manifest else []
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


def _asked(manifest: Manifest) -> Iterator[tuple[str, Asked]]:
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
