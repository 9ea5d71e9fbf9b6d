"""Words for captions from a tagger of A1111."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.dataset import caption_store
from orchestrator.dataset.caption_store import Kept
from orchestrator.dataset.model import DatasetPicture
from orchestrator.dataset.tag_words import caption_words
from orchestrator.errors import InstallError
from orchestrator.tagging.asking import TagServer, tag_pictures
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class TaggedCaptions:
    """What tagging did: the words each picture got, by sha256. `own` pictures have a caption of their own (a file, or a
    kept one), which the words do not change; `untagged` got no answer.
    """

    model: str
    words: dict[str, tuple[str, ...]]
    own: tuple[Path, ...] = ()
    untagged: tuple[Path, ...] = ()


def tag_captions(
    workspace: Workspace,
    pictures: Sequence[DatasetPicture],
    server: TagServer,
    *,
    model: str = "",
    seen_from: float | None = None,
    blocked: Sequence[str] = (),
    on_tagged: Callable[[Path], None] | None = None,
) -> TaggedCaptions:
    """Tag `pictures` and keep the words (those of an earlier tagging are replaced). `seen_from` None = the model's own
    threshold. Raises `InstallError` when the server has no tagger, `ServerUnreachable`, `StorageError`.
    """
    tagged = tag_pictures(
        [one.path for one in pictures], server, workspace.tags, workspace.journals, model=model, on_tagged=on_tagged
    )
    if tagged.tagger is None:
        raise InstallError(
            f"The pictures were not tagged: {tagged.not_measured}.",
            fix="Install the WD14 tagger extension in A1111, or let it fetch deepdanbooru once "
            "(img2img, Interrogate DeepBooru).",
        )
    threshold = tagged.seen_from if seen_from is None else seen_from
    kept = caption_store.read(workspace)
    words: dict[str, tuple[str, ...]] = {}
    for picture, tags in zip(pictures, tagged.tags, strict=True):
        if tags is not None:
            words[picture.sha256] = caption_words(tags, seen_from=threshold, blocked=blocked)
            kept[picture.sha256] = replace(kept.get(picture.sha256, Kept()), words=words[picture.sha256])
    caption_store.write(workspace, kept)
    return TaggedCaptions(
        tagged.tagger.model,
        words,
        own=tuple(one.path for one in pictures if one.caption_from != "group"),
        untagged=tuple(one.path for one, tags in zip(pictures, tagged.tags, strict=True) if tags is None),
    )
