"""The workspace: one folder that holds everything about one subject."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import WorkspaceError
from orchestrator.files import file_stem

PROFILE_NAME = "lora.toml"


@dataclass(frozen=True)
class Workspace:
    """Every path of a workspace has a name here; nobody else joins strings."""

    root: Path

    @property
    def profile(self) -> Path:
        """What the user asks for."""
        return self.root / PROFILE_NAME

    def named(self, path: str) -> Path:
        """A file named in the profile: relative to the workspace, wherever the command is started; as it is written
        where nothing lies there.
        """
        here = self.root / Path(path).expanduser()
        return here if here.exists() else Path(path).expanduser()

    def picture_set(self, name: str) -> Path:
        """The folder of a picture set."""
        return self.root / "pictures" / file_stem(name)

    def dataset(self, version: str) -> Path:
        """The dataset of one version: one folder per group, its manifest, its dataset_config."""
        return self.root / "dataset" / file_stem(version)

    def imported(self, group: str) -> Path:
        """Pictures imported into a dataset group; the folder of all of them for an empty name."""
        return self.root / "imported" / file_stem(group) if group else self.root / "imported"

    @property
    def captions(self) -> Path:
        """Captions of single pictures, by the pictures' content."""
        return self.root / "captions.json"

    @property
    def captions_before(self) -> Path:
        """What `captions` held before it was written the last time."""
        return self.root / "captions.before.json"

    def check(self, version: str) -> Path:
        """What the dataset check said of one version."""
        return self.root / "dataset" / f"{file_stem(version)}.check.json"

    def check_page(self, version: str) -> Path:
        """The same as a page to look at."""
        return self.root / "dataset" / f"{file_stem(version)}.check.html"

    def captions_page(self, version: str) -> Path:
        """The page on which captions are looked through."""
        return self.root / "dataset" / f"{file_stem(version)}.captions.html"

    def foretold(self, version: str) -> Path:
        """What the dataset of a version was expected to lock in, and what its grid then showed."""
        return self.root / "dataset" / f"{file_stem(version)}.foretold.json"

    def run(self, name: str) -> Path:
        """One training run: configs, console log, LoRA files, state folders, record."""
        return self.root / "runs" / file_stem(name)

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def grid(self, name: str) -> Path:
        """Sheets, viewer and manifest of one grid."""
        return self.root / "grids" / file_stem(name)

    def evaluation(self, name: str) -> Path:
        """Scouted seeds, observations and the verdict of one version."""
        return self.root / "evaluations" / file_stem(name)

    def published(self, name: str) -> Path:
        """A published LoRA: the file under its clean name, its model card, sample pictures."""
        return self.root / "published" / file_stem(name)

    def report(self, name: str) -> Path:
        """The self-contained HTML folder of one version."""
        return self.root / "reports" / file_stem(name)

    @property
    def cache(self) -> Path:
        """Pictures by recipe and measurements by picture; may be deleted at any time, everything in it can be made
        again.
        """
        return self.root / ".orchestrator" / "cache"

    @property
    def tags(self) -> Path:
        """What taggers saw, by model and picture."""
        return self.cache / "tags"

    @property
    def journals(self) -> Path:
        """Which options of a server are borrowed, until they are given back."""
        return self.cache.parent / "journals"

    @property
    def logs(self) -> Path:
        return self.root / ".orchestrator" / "logs"


def find_workspace(start: Path) -> Workspace:
    """The workspace that `start` lies in. Raises `WorkspaceError` when no folder upwards holds a lora.toml."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / PROFILE_NAME).is_file():
            return Workspace(candidate)
    raise WorkspaceError(
        f"{folder} is not a workspace: there is no {PROFILE_NAME} here or above.",
        fix="Make one with `orchestrator init NAME`, or change into its folder.",
    )
