"""`orchestrator dataset caption …`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Urls, json_option, open_workspace, server_option, workspace_option

if TYPE_CHECKING:
    from orchestrator.dataset.model import DatasetPicture

_pictures = click.argument("pictures", nargs=-1)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would change, and keep nothing.")


@click.group("caption")
def command() -> None:
    """Look at the captions, and change them without touching a file of yours.

    PICTURES are patterns over GROUP/FILE, such as "close-up/*" or "*/0003.png"; all of them without one.
    """


@command.command("show")
@_pictures
@workspace_option
@json_option
def show(pictures: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """List the captions as they will be trained, and where each is from."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.dataset import caption_store, collect

    workspace, profile = open_workspace(folder)
    chosen = _chosen(collect(profile, workspace), pictures)
    if as_json:
        answer_json(caption_store.to_dict(chosen))
        return
    table(
        ("picture", "caption", "from"),
        [(_name(one), one.caption or f"[!] {one.caption_problem}", one.caption_from) for one in chosen],
    )


@command.command("add")
@click.argument("words")
@_pictures
@click.option("--first", is_flag=True, help="Before all others, as a trigger stands; else at the end.")
@_dry_run
@workspace_option
def add(words: str, pictures: tuple[str, ...], first: bool, dry_run: bool, folder: Path) -> None:
    """Add WORDS (split at commas) to the captions of PICTURES. Captions that have them stay as they are."""
    from orchestrator.dataset import caption_store

    new = [word.strip() for word in words.split(",") if word.strip()]

    def change(caption: str, fill: Callable[[str], str]) -> str:
        return caption_store.with_words(caption, new, first=first, fill=fill)

    _change(folder, pictures, change, dry_run=dry_run)


@command.command("tag")
@_pictures
@click.option("--model", default="", help="A model of the WD14 tagger, or deepdanbooru; else the best A1111 has.")
@click.option("--above", type=click.FloatRange(0, 1), help="How sure the tagger must be; else as its model says.")
@click.option("--block", "blocked", multiple=True, help="A tag no caption gets (*hair); beside dataset.blocked_tags.")
@server_option
@workspace_option
def tag(
    pictures: tuple[str, ...], model: str, above: float | None, blocked: tuple[str, ...], url: Urls, folder: Path
) -> None:
    """Let A1111 tag PICTURES, and give the words to their captions: where the template says {tags}, else at its end.

    Captions in files of yours, and those you changed with `add` or `replace`, stay as they are.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, many, note, progress, table
    from orchestrator.cli.servers import open_servers
    from orchestrator.dataset import collect
    from orchestrator.settings import load_settings

    workspace, profile = open_workspace(folder)
    chosen = _chosen(collect(profile, workspace), pictures)
    with open_servers(load_settings(a1111_url=url)) as servers, progress() as on_progress:
        done = pipeline.tag_captions(
            profile, workspace, servers.client, chosen,
            model=model, seen_from=above, blocked=blocked, on_progress=on_progress,
        )  # fmt: skip
    if done.own:
        note(f"{many(len(done.own), 'picture')} with a caption of their own keep it.")
    for path in done.untagged:
        note(f"{path} got no tags.")
    now = {one.path: one for one in collect(profile, workspace)}
    table(
        ("picture", f"caption, with the words of {done.model}"), [(_name(one), now[one.path].caption) for one in chosen]
    )
    answer()
    answer(f"{many(len(done.words), 'picture')} tagged.")


@command.command("replace")
@click.argument("old")
@click.argument("new")
@_pictures
@_dry_run
@workspace_option
def replace(old: str, new: str, pictures: tuple[str, ...], dry_run: bool, folder: Path) -> None:
    """Put NEW in place of OLD, which is a whole part between commas; `*OLD*` is found inside parts too.

    An empty NEW takes OLD out with its comma.
    """
    from orchestrator.dataset import caption_store

    _change(folder, pictures, lambda caption, _: caption_store.replace_words(caption, old, new), dry_run=dry_run)


@command.command("review")
@click.option("--open", "open_it", is_flag=True, help="Open the page in the browser.")
@workspace_option
def review(open_it: bool, folder: Path) -> None:
    """Write a page with every picture, its caption to edit, what the tagger saw and what the check says.

    What you change there is downloaded as edited-captions.json; `orchestrator dataset caption apply` takes it in.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, progress

    workspace, profile = open_workspace(folder)
    with progress() as on_progress:
        page = pipeline.review_captions(profile, workspace, on_progress=on_progress)
    answer(str(page))
    if open_it:
        click.launch(page.as_uri())


@command.command("apply")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_dry_run
@workspace_option
def apply(file: Path, dry_run: bool, folder: Path) -> None:
    """Take the captions of FILE, as the review page downloads them, into the workspace.

    A caption that was changed since the page was written is left as it is, and named.
    """
    from orchestrator.cli.console import answer, many, note, table
    from orchestrator.dataset import caption_review, caption_store, collect

    workspace, profile = open_workspace(folder)
    edits = caption_review.read_edits(file)
    outcome = caption_review.apply(edits, collect(profile, workspace), caption_store.read(workspace))
    if not dry_run and outcome.changed:
        caption_store.write(workspace, outcome.kept)
    if outcome.changed:
        table(
            ("picture", "before", "after"),
            [(_name(one), one.caption, profile.fill(new)) for one, new in outcome.changed],
        )
        answer()
    for sentence in outcome.refused:
        note(f"[!] {sentence}")
    answer(f"{many(len(outcome.changed), 'caption')} {'would change' if dry_run else 'changed'}.")


@command.command("clear")
@click.argument("pictures", nargs=-1, required=True)
@_dry_run
@workspace_option
def clear(pictures: tuple[str, ...], dry_run: bool, folder: Path) -> None:
    """Forget what was kept of PICTURES: the file beside them, or their group's caption, counts again."""
    from orchestrator.cli.console import answer, many
    from orchestrator.dataset import caption_store, collect

    workspace, profile = open_workspace(folder)
    kept = caption_store.read(workspace)
    known = [one for one in _chosen(collect(profile, workspace), pictures) if one.sha256 in kept]
    if not dry_run and known:
        gone = {one.sha256 for one in known}
        caption_store.write(workspace, {sha256: one for sha256, one in kept.items() if sha256 not in gone})
    answer(f"{many(len(known), 'kept caption')} {'would be ' if dry_run else ''}forgotten.")


def _change(
    folder: Path, patterns: Sequence[str], change: Callable[[str, Callable[[str], str]], str], *, dry_run: bool
) -> None:
    """Change captions by a function of one and of what fills its braces."""
    from orchestrator.cli.console import answer, many, table
    from orchestrator.dataset import caption_store, collect

    workspace, profile = open_workspace(folder)
    chosen = _chosen(collect(profile, workspace), patterns)
    after, seen = caption_store.changed(
        chosen, caption_store.read(workspace), lambda caption: change(caption, profile.fill)
    )
    if not dry_run and seen:
        caption_store.write(workspace, after)
    if seen:
        table(("picture", "before", "after"), [(_name(one), one.caption, profile.fill(new)) for one, new in seen])
        answer()
    answer(f"{many(len(seen), 'caption')} of {len(chosen)} {'would change' if dry_run else 'changed'}.")


def _chosen(pictures: Sequence[DatasetPicture], patterns: Sequence[str]) -> list[DatasetPicture]:
    from orchestrator.errors import InputError

    unmatched = [p for p in patterns if not any(fnmatchcase(_name(one), p) for one in pictures)]
    if unmatched:
        raise InputError(
            f"No picture is called {', '.join(map(repr, unmatched))}.",
            fix="Pictures are called GROUP/FILE; `orchestrator dataset caption show` lists them.",
        )
    return [one for one in pictures if not patterns or any(fnmatchcase(_name(one), pattern) for pattern in patterns)]


def _name(picture: DatasetPicture) -> str:
    return f"{picture.group}/{picture.path.name}"
