"""`orchestrator vote`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, open_workspace, workspace_option

if TYPE_CHECKING:
    from orchestrator.evaluation.votes.server import Booth
    from orchestrator.evaluation.votes.taste import Taste

#: How long the page is still served once every vote is given.
_LAST_WORDS_S = 20.0


@click.command("vote")
@workspace_option
@click.option("--votes", "count", type=click.IntRange(4, 1000), default=60, show_default=True, help="How many pairs.")
@click.option("--finalists", type=click.IntRange(2, 4), default=3, show_default=True, help="How many cells at most.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 = any that is free.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--result", "only_result", is_flag=True, help="Only say what the votes came to.")
@json_option
def command(
    folder: Path, count: int, finalists: int, port: int, no_browser: bool, only_result: bool, as_json: bool
) -> None:
    """Vote blind between the finalists: two pictures of the same prompt and seed, which one is better?

    Left, right and down (equally good) on the keyboard, Backspace takes one back. Every vote is kept at once; run the
    command again to go on.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer_json, note
    from orchestrator.errors import WorkspaceError

    workspace, profile = open_workspace(folder)
    version = profile.subject.version
    if not only_result:
        with pipeline.open_votes(workspace, version, count=count, finalists=finalists, port=port, say=note) as page:
            note(f"Vote at {page.url}  (Ctrl-C: enough for now)")
            if not no_browser:
                click.launch(page.url)
            _until_done(page.booth)
    found = pipeline.taste(workspace, version)
    if found is None:
        raise WorkspaceError("Nobody has voted on this verdict yet.", fix="Run `orchestrator vote`.")
    if as_json:
        import dataclasses

        answer_json(dataclasses.asdict(found))
    else:
        show_taste(found)


def show_taste(taste: Taste) -> None:
    """What the votes came to, in sentences and a table."""
    from orchestrator.cli.console import answer, paragraph, table

    for sentence in taste.sentences:
        paragraph("", sentence)
    if taste.liked:
        answer()
        rows = [(one.cell.label, f"{one.wins:g} of {one.votes}", one.strength.percent) for one in taste.liked]
        table(("cell", "won", "chance to win a vote"), rows)
    if taste.agreements:
        agreed = [(one.metric, one.share.percent, one.decided) for one in taste.agreements]
        table(("metric", "agrees with you", "votes it decides"), agreed)


def _until_done(booth: Booth) -> None:
    import time

    done_since = 0.0
    try:
        while not booth.ended.wait(0.2):
            # The last vote may be taken back.
            done_since = (done_since or time.monotonic()) if booth.votes.done else 0.0
            if done_since and time.monotonic() - done_since > _LAST_WORDS_S:
                return
    except KeyboardInterrupt:
        return
