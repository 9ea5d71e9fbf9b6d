"""pictures → dataset: check, captions, balance, build."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import WorkspaceError
from orchestrator.files import write_json
from orchestrator.pipeline.progress import OnProgress, counter, quiet

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.dataset.balance import Balance
    from orchestrator.dataset.bucket_preview import Bucket, Placed
    from orchestrator.dataset.foretell import Compared, Foretold
    from orchestrator.dataset.model import CheckResult, Dataset, DatasetPicture, Finding
    from orchestrator.dataset.tag_captions import TaggedCaptions
    from orchestrator.profile.model import Profile
    from orchestrator.vision.model import Measurement
    from orchestrator.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Checked:
    """A dataset check with what it looked at."""

    pictures: list[DatasetPicture]
    measurements: list[Measurement]
    result: CheckResult
    #: Whether the sandbox drew the pictures.
    simulated: bool = False


def check_dataset(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = quiet) -> Checked:
    """pictures → dataset, first half: look at what would be trained on, and say what it would lock in.

    The result is kept beside the dataset, as JSON and as a page, with what it lets expect of the LoRA. Raises
    `DatasetError` or `WorkspaceError` when pictures are not there yet.
    """
    from orchestrator.dataset import about_folders, collect, foretell, foretold_file
    from orchestrator.dataset.view import views

    pictures = collect(profile, workspace)
    checked = _checked(profile, workspace, pictures, beside=about_folders.look(pictures), on_progress=on_progress)
    version = profile.subject.version
    write_json(workspace.check(version), checked.result.to_dict())
    foretold = foretell.foretell(views(pictures, checked.measurements, profile.dataset.groups))
    foretold_file.keep(workspace.foretold(version), foretold)
    _write_check_page(profile, workspace, checked, foretold)
    return checked


def check_built(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = quiet) -> Checked | None:
    """dataset → training: the same check on the dataset as it was built (or made by hand), which is what is trained
    on, in the groups it was built with. What a built one lets expect of the LoRA is kept. None where there is none.
    """
    from orchestrator.dataset import foretell, foretold_file
    from orchestrator.dataset.as_built import as_pictures, built_groups
    from orchestrator.dataset.on_disk import manifest_of
    from orchestrator.dataset.view import views

    version = profile.subject.version
    pictures, manifest = as_pictures(workspace, version), manifest_of(workspace.dataset(version))
    if not pictures:
        return None
    groups = tuple(built_groups(workspace, version, profile.dataset.groups))
    as_built = profile.model_copy(update={"dataset": profile.dataset.model_copy(update={"groups": groups})})
    checked = _checked(as_built, workspace, pictures, on_progress=on_progress)
    if manifest is not None:
        told = foretell.foretell(views(pictures, checked.measurements, groups))
        foretold_file.keep_built(workspace.foretold(version), manifest["fingerprint"], told)
    return checked


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
        on_measured=counter(on_progress, "look at the dataset", len(pictures)),
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


def _write_check_page(profile: Profile, workspace: Workspace, checked: Checked, foretold: Sequence[Foretold]) -> None:
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
        foretold=foretold,
        simulated=checked.simulated,
    )
    write_text(workspace.check_page(version), text, durable=False)


def review_captions(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = quiet) -> Path:
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


def compare_foretold(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = quiet) -> list[Compared]:
    """grid → dataset: what the dataset let expect, beside what the grids of the trained LoRA show. Kept per version.

    Raises `WorkspaceError` when there is no expectation, or no grid to hold it against.
    """
    from orchestrator.evaluation import foretold

    pictures = len({path for path, _ in foretold.drawn(profile, workspace)})
    found = foretold.compare(profile, workspace, on_measured=counter(on_progress, "look at the grids", pictures))
    if not pictures:
        raise WorkspaceError(
            f"No grid of {profile.subject.version} shows what became of it.",
            fix="Train it, then run `orchestrator grid render`.",
        )
    return found


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
    on_progress: OnProgress = quiet,
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
        on_tagged=counter(on_progress, "tag pictures", len(pictures)),
    )


def preview_buckets(
    profile: Profile, workspace: Workspace, *, on_progress: OnProgress = quiet
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


def balance_dataset(profile: Profile, workspace: Workspace, *, on_progress: OnProgress = quiet) -> Balance:
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
    on_progress: OnProgress = quiet,
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


def dataset_pictures(workspace: Workspace, version: str) -> list[Path]:
    """The pictures a version was trained on. Raises `WorkspaceError` when its dataset is not built."""
    from orchestrator.dataset.on_disk import built_pictures

    found = built_pictures(workspace, version)
    if not found:
        raise WorkspaceError(
            f"The dataset of {version} is not built yet.", fix="Run `orchestrator dataset build` first."
        )
    return found
