"""`orchestrator dataset balance|buckets`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_workspace, workspace_option


@click.command("balance")
@workspace_option
@json_option
def balance(folder: Path, as_json: bool) -> None:
    """Say what to leave out, straighten, make and repeat so that the groups are seen equally often.

    `dataset build --balance` leaves out and repeats as said here; nothing is changed by this command.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, paragraph, progress

    workspace, profile = open_workspace(folder)
    with progress() as on_progress:
        found = pipeline.balance_dataset(profile, workspace, on_progress=on_progress)
    if as_json:
        answer_json(found.to_dict())
        return
    for step in found.steps:
        paragraph(f"{step.kind}, {step.group}: ", step.what)
        paragraph("    Why:    ", step.why)
        if step.command:
            paragraph("    Do:     ", step.command)
        if step.then:
            paragraph("    Then:   ", step.then)
    if not found.steps:
        answer("[ok] The groups are seen equally often, and nothing has to go.")
        return
    answer()
    answer(
        f"The group seen most is seen {found.ratio_now:.2f} times as often as the one seen least; "
        f"with `orchestrator dataset build --balance` {found.ratio_after:.2f} times."
    )


@click.command("buckets")
@workspace_option
@json_option
def buckets(folder: Path, as_json: bool) -> None:
    """Show in which size (bucket) sd-scripts will train each picture, and how much of it is cut off there."""
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, answer_json, many, progress, table
    from orchestrator.dataset import bucket_preview

    workspace, profile = open_workspace(folder)
    with progress() as on_progress:
        found, placed = pipeline.preview_buckets(profile, workspace, on_progress=on_progress)
    if as_json:
        answer_json(bucket_preview.to_dict(found, placed))
        return
    table(
        ("bucket", "pictures", "seen per epoch", "batches"),
        [(_size(one.size), one.pictures, one.seen, one.batches) for one in found],
    )
    lost = sorted((one for one in placed if one.cut or one.bucket is None), key=lambda one: -one.cut)
    if lost:
        answer()
        rows = [
            (
                one.name,
                _size(one.size),
                _size(one.bucket) if one.bucket else "none: too small or too long",
                f"{one.cut:.0%}",
                ", ".join(f"{pixels} px" for pixels in one.sides),
            )
            for one in lost
        ]
        table(("picture", "its size", "bucket", "cut off", "left, top, right, bottom"), rows)
    if faces := [one.name for one in lost if one.face_cut]:
        answer()
        answer(f"[!] The face is cut in {', '.join(faces)}: crop or leave them out.")
    whole = sum(one.bucket is not None and not one.cut for one in placed)
    answer()
    answer(f"{whole} of {many(len(placed), 'picture')} keep everything.")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


COMMANDS = (balance, buckets)
