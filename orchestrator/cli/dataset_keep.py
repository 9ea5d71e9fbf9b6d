"""`orchestrator dataset import|imports|undo|show|diff|rebuild`."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, open_workspace, workspace_option


@click.command("import")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--group", default="", help="The dataset group they go to; else the folder's name says it (10_NAME too).")
@click.option(
    "--caption-encoding", default="utf-8", show_default=True, help="How the captions beside them were saved (cp932 …)."
)
@click.option(
    "--instead", is_flag=True, help="Pictures made of imported ones (straightened) take their places and captions."
)
@click.option("--skip-bad", is_flag=True, help="Import the others when some cannot be trained on.")
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and copy nothing.")
@workspace_option
@json_option
def import_pictures(
    sources: tuple[Path, ...],
    group: str,
    caption_encoding: str,
    instead: bool,
    skip_bad: bool,
    dry_run: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Copy pictures (files, folders, kohya's N_NAME folders) with their captions into a dataset group.

    The originals are never touched. What A1111 wrote into a picture is kept as its origin. A picture that is there
    already is not copied again. `orchestrator dataset undo` takes an import back.
    """
    from orchestrator.cli.console import answer, answer_json, many, note
    from orchestrator.dataset import importing

    workspace, profile = open_workspace(folder)
    plan = importing.plan_import(
        profile, workspace, sources, group=group, caption_encoding=caption_encoding, instead=instead
    )
    for sentence in plan.notes:
        note(sentence)
    if skip_bad or dry_run:
        for problem in plan.problems:
            note(f"left out: {problem}")
    if dry_run:
        rows = [{"from": str(one.path), "group": one.group, "file": one.file} for one in plan.incoming]
        if as_json:
            answer_json({"incoming": rows, "there": len(plan.there), "problems": [str(p) for p in plan.problems]})
        else:
            for row in rows:
                answer(f"{row['from']} → {row['group']}")
            answer(f"{many(len(rows), 'picture')} would be imported, {len(plan.there)} are there already.")
        return
    done = importing.carry_out(workspace, plan, skip_bad=skip_bad)
    if as_json:
        answer_json(
            {
                "import": done.number, "files": done.files, "there": done.there, "left_out": done.left_out,
                "instead": done.instead,
            }
        )  # fmt: skip
        return
    words = [f"{many(len(done.files), 'picture')} imported"]
    words += [f"{done.instead} of them in the place of the one they were made of"] if done.instead else []
    words += [f"{done.there} were there already"] if done.there else []
    words += [f"{done.left_out} left out"] if done.left_out else []
    answer(", ".join(words) + (f". To take it back: orchestrator dataset undo {done.number}" if done.number else "."))


@click.command("imports")
@workspace_option
@json_option
def imports(folder: Path, as_json: bool) -> None:
    """List the imports that can be taken back."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.dataset import import_records
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    rows = [
        (number, record.parent.parent.name, len(import_records.entries(record)))
        for number, records in sorted(import_records.imports(workspace).items())
        for record in records
    ]
    if as_json:
        answer_json([{"import": number, "group": group, "pictures": count} for number, group, count in rows])
        return
    table(("import", "group", "pictures"), rows)


@click.command("undo")
@click.argument("number", default="")
@workspace_option
@json_option
def undo(number: str, folder: Path, as_json: bool) -> None:
    """Take an import back (the newest without NUMBER). Copies that were changed since stay; pictures it took the place
    of come back.
    """
    from orchestrator.cli.console import answer, answer_json, many, note
    from orchestrator.dataset import import_records
    from orchestrator.workspace import find_workspace

    done = import_records.undo(find_workspace(folder), number)
    if as_json:
        answer_json({"import": done.number, "removed": done.removed, "kept": done.kept, "back": done.back})
        return
    for path in done.kept:
        note(f"{path} was changed since it was imported, so it stays.")
    back = f", {len(done.back)} that were there before are back" if done.back else ""
    answer(f"Import {done.number}: {many(len(done.removed), 'picture')} taken back{back}.")


@click.command("show")
@click.argument("version", default="")
@workspace_option
@json_option
def show(version: str, folder: Path, as_json: bool) -> None:
    """List the pictures of a built version: caption, where each came from, and the versions that used it."""
    from orchestrator.cli.console import answer_json, table
    from orchestrator.dataset import lineage

    workspace, profile = open_workspace(folder)
    rows = lineage.show(workspace, version or profile.subject.version)
    if as_json:
        answer_json(lineage.to_dict(rows))
        return
    table(
        ("file", "caption", "came from", "used in"),
        [(row.file, row.caption, row.origin, ", ".join(row.versions)) for row in rows],
    )


@click.command("diff")
@click.argument("before")
@click.argument("after")
@workspace_option
@json_option
def diff(before: str, after: str, folder: Path, as_json: bool) -> None:
    """Say what the dataset of the version AFTER has that BEFORE has not, and the other way round."""
    from orchestrator.cli.console import answer, answer_json, table
    from orchestrator.dataset import lineage
    from orchestrator.workspace import find_workspace

    rows = lineage.diff(find_workspace(folder), before, after)
    if as_json:
        answer_json(lineage.to_dict(rows))
    elif rows:
        table(
            ("what", "group", "file", before, after),
            [(row.what, row.group, row.file, row.before, row.after) for row in rows],
        )
    else:
        answer(f"{before} and {after} are made of the same pictures and captions.")


@click.command("rebuild")
@click.argument("version")
@click.option(
    "--manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A copy of its manifest.json."
)
@workspace_option
@json_option
def rebuild(version: str, manifest: Path | None, folder: Path, as_json: bool) -> None:
    """Make the dataset of a VERSION again, bit for bit, from its manifest alone."""
    from orchestrator.cli.console import answer, answer_json, note
    from orchestrator.dataset import rebuilding
    from orchestrator.workspace import find_workspace

    done = rebuilding.rebuild(find_workspace(folder), version, manifest)
    for sentence in done.notes:
        note(sentence)
    if as_json:
        answer_json({"folder": done.folder, "pictures": done.pictures, "made": done.made, "notes": done.notes})
        return
    answer(f"{done.folder}: {done.pictures} pictures" + (" rebuilt" if done.made else ", there already and whole"))


COMMANDS = (import_pictures, imports, undo, show, diff, rebuild)
