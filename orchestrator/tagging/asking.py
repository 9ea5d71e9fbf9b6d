"""Tags of pictures, asked from A1111.

WD14 where the tagger extension is there, else deepdanbooru, else not measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, Protocol

from orchestrator.errors import ServerError
from orchestrator.files import file_stem, read_json, sha256_file, write_json
from orchestrator.tagging.loan import Options, borrowed_options, give_back
from orchestrator.tagging.tags import ALL_NAMES, canonical, names_known, parse_ranked

#: From which probability a tag counts as seen: the taggers' own default thresholds (WD14 extension; A1111's
#: deepdanbooru).
WD14_SEEN_FROM = 0.35
DEEPDANBOORU_SEEN_FROM = 0.5
DEEPDANBOORU = "deepdanbooru"
IN_FLIGHT = 2
#: A model that fails on this many pictures one after the other, before any answer, is not there.
_TRIES = 3
#: Of the tags nobody asks for, those below this are not kept: a model knows about 9,000.
_WORTH_KEEPING = 0.05
#: Raised when the names asked for change, since the cache holds only those and the likely ones.
_TAGS_FORMAT = 1

#: Every tag with its rank, in Danbooru's spelling; the model stays in memory between pictures.
_RANKING_OPTIONS: Mapping[str, Any] = {
    "interrogate_return_ranks": True,
    "interrogate_deepbooru_score_threshold": 0.0,
    "deepbooru_use_spaces": False,
    "deepbooru_escape": False,
    "deepbooru_filter_tags": "",
    "interrogate_keep_models_in_memory": True,
}


class TagServer(Options, Protocol):
    """The part of an A1111 client that looks at pictures; `orchestrator.a1111.client.A1111` has it."""

    def tagger_models(self) -> Sequence[str]:
        """Models of the WD14 tagger extension; none when it is not there."""

    def tags(self, picture: bytes, model: str, threshold: float = 0.0, /) -> Mapping[str, float]:
        """Tag → probability by a WD14 model."""

    def interrogate(self, picture: bytes, model: str = DEEPDANBOORU, /) -> str:
        """A caption by A1111's own interrogator."""


@dataclass(frozen=True)
class Tagger:
    """One model that tags pictures. `seen_from`: from which probability a tag counts as seen."""

    model: str
    seen_from: float

    @property
    def is_wd14(self) -> bool:
        """Whether the tagger extension runs it; else A1111 itself does."""
        return self.model != DEEPDANBOORU


@dataclass(frozen=True)
class Tagged:
    """The tags of pictures, in their order; None for a picture the model gave no answer for.

    Without a `tagger` nothing was measured and `not_measured` says why.
    """

    tags: tuple[Mapping[str, float] | None, ...]
    tagger: Tagger | None = None
    known: frozenset[str] = frozenset()
    not_measured: str = ""

    @property
    def seen_from(self) -> float:
        """From which score a picture obeys; framings measured without tagger are 0 or 1."""
        return self.tagger.seen_from if self.tagger else 0.5


def tag_pictures(
    pictures: Sequence[Path],
    server: TagServer,
    cache: Path,
    journals: Path,
    *,
    model: str = "",
    on_tagged: Callable[[Path], None] | None = None,
) -> Tagged:
    """The tags of all `pictures`, by the best model the server has.

    `cache`: folder of answers, by picture content and model. `journals`: folder that remembers changed options until
    they are back. `model`: a WD14 model's name, or `deepdanbooru`; empty = the newest WD14, else deepdanbooru. A model
    that fails on the first three pictures is not there (its weights are fetched on first use); any other failure
    leaves that one picture without tags. Raises `ServerUnreachable` when the server is gone; tags got until then are
    kept.
    """
    give_back(server, journals)
    if not pictures:
        return Tagged((), not_measured="no pictures")
    hashes = [sha256_file(picture) for picture in pictures]
    reasons: list[str] = []
    for tagger in _taggers(server, model):
        places = [_place(cache, tagger, sha256) for sha256 in hashes]
        found = [_cached(place) for place in places]
        todo = [i for i, tags in enumerate(found) if tags is None]
        ranks: AbstractContextManager[None] = nullcontext()
        if todo and not tagger.is_wd14:
            ranks = borrowed_options(server, _RANKING_OPTIONS, journals)
        with ranks:
            report = on_tagged or (lambda picture: None)
            failed = _first_answer(server, tagger, pictures, places, todo, found)
            if failed and not any(found):
                reasons.append(failed)
                continue
            left = [i for i in todo[:_TRIES] if found[i] is None] + todo[_TRIES:]
            for index in sorted({*range(len(pictures))} - {*left}):
                report(pictures[index])
            _ask_all(server, tagger, pictures, places, left, found, report)
        known = names_known(tags for tags in found if tags)
        if known:
            return Tagged(tuple(found), tagger, known)
        reasons.append(f"{tagger.model} knows none of the tags asked for")
    why = "; ".join(shorten(reason, 160, placeholder=" …") for reason in reasons) or "A1111 has no tagger"
    return Tagged(tuple(None for _ in pictures), not_measured=why)


def known_tags(hashes: Sequence[str], cache: Path) -> tuple[dict[str, Mapping[str, float]], float]:
    """(tags by sha256 of the pictures that were tagged before, from which probability one counts as seen), of the model
    that has seen most of them. Asks nobody.
    """
    best: tuple[dict[str, Mapping[str, float]], float] = ({}, WD14_SEEN_FROM)
    for folder in sorted(cache.iterdir()) if cache.is_dir() else []:
        if not folder.name.endswith(f"-{_TAGS_FORMAT}"):
            continue
        found = {sha256: _cached(folder / sha256[:2] / f"{sha256}.json") for sha256 in hashes}
        tags: dict[str, Mapping[str, float]] = {sha256: one for sha256, one in found.items() if one is not None}
        if len(tags) > len(best[0]):
            is_wd14 = not folder.name.startswith(f"{DEEPDANBOORU}-")
            best = tags, WD14_SEEN_FROM if is_wd14 else DEEPDANBOORU_SEEN_FROM
    return best


def _taggers(server: TagServer, model: str) -> list[Tagger]:
    if model == DEEPDANBOORU:
        return [Tagger(DEEPDANBOORU, DEEPDANBOORU_SEEN_FROM)]
    if model:
        return [Tagger(model, WD14_SEEN_FROM)]
    # Newer generations first; other models of the extension (mld, deepdanbooru) only when there is no WD14.
    listed = sorted(
        server.tagger_models(), key=lambda name: ("wd" not in name.lower(), "v3" not in name, "v2" not in name, name)
    )
    return [*(Tagger(name, WD14_SEEN_FROM) for name in listed[:1]), Tagger(DEEPDANBOORU, DEEPDANBOORU_SEEN_FROM)]


def _first_answer(
    server: TagServer,
    tagger: Tagger,
    pictures: Sequence[Path],
    places: Sequence[Path],
    todo: Sequence[int],
    found: list[dict[str, float] | None],
) -> str:
    """Try the model on the first pictures until one is answered; empty when one was, else what the server said."""
    said = ""
    for index in todo[:_TRIES]:
        try:
            found[index] = _ask(server, tagger, pictures[index], places[index])
            return ""
        except ServerError as error:
            said = error.what
    return said


def _ask_all(
    server: TagServer,
    tagger: Tagger,
    pictures: Sequence[Path],
    places: Sequence[Path],
    todo: Sequence[int],
    found: list[dict[str, float] | None],
    report: Callable[[Path], None],
) -> None:
    def one(index: int) -> None:
        try:
            found[index] = _ask(server, tagger, pictures[index], places[index])
        except ServerError:
            # This one picture stays without tags; its cell is then left out of the ranking and said to be incomplete.
            found[index] = None

    pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="tag")
    try:
        for index, _ in zip(todo, pool.map(one, todo), strict=True):
            report(pictures[index])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ask(server: TagServer, tagger: Tagger, picture: Path, place: Path) -> dict[str, float]:
    data = picture.read_bytes()
    if tagger.is_wd14:
        answer = {canonical(name): float(value) for name, value in server.tags(data, tagger.model, 0.0).items()}
    else:
        answer = parse_ranked(server.interrogate(data, DEEPDANBOORU))
    kept = {name: value for name, value in answer.items() if name in ALL_NAMES or value >= _WORTH_KEEPING}
    write_json(place, {"model": tagger.model, "tags": kept}, durable=False)
    return kept


def _place(cache: Path, tagger: Tagger, sha256: str) -> Path:
    # Two models' names may give one file stem; the hash keeps them apart.
    mark = hashlib.sha256(tagger.model.encode("utf-8")).hexdigest()[:8]
    return cache / f"{file_stem(tagger.model)}-{mark}-{_TAGS_FORMAT}" / sha256[:2] / f"{sha256}.json"


def _cached(place: Path) -> dict[str, float] | None:
    kept = read_json(place)
    tags = kept.get("tags") if isinstance(kept, dict) else None
    if not isinstance(tags, dict):
        return None
    return {str(name): float(value) for name, value in tags.items()}
