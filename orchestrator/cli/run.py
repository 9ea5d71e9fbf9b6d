"""`orchestrator run`."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from orchestrator.cli.options import (
    Urls,
    asked_to_wait,
    find_kohya,
    kohya_options,
    lora_folder_option,
    open_workspace,
    server_option,
    workspace_option,
)


@click.command("run")
@workspace_option
@server_option
@kohya_options
@lora_folder_option
@click.option("--anyway", is_flag=True, help="Train although the dataset check has findings.")
def command(
    folder: Path,
    url: Urls,
    kohya: str | None,
    kohya_python: str | None,
    lora_folder: str | None,
    anyway: bool,
) -> None:
    """Do everything in the profile that is not done yet: pictures, check, dataset, training, grids, rounds, verdict,
    report.

    Stops before the training when the check finds what would be locked in; --anyway goes on.
    """
    from orchestrator import pipeline
    from orchestrator.cli.console import answer, note, progress
    from orchestrator.cli.dataset_shown import show_check
    from orchestrator.cli.evaluate import show_verdict
    from orchestrator.cli.servers import open_servers
    from orchestrator.cli.train import show_events
    from orchestrator.dataset.before_training import refuse_untrainable
    from orchestrator.errors import DatasetError
    from orchestrator.night import keyboard
    from orchestrator.settings import load_settings
    from orchestrator.training.preflight import preflight

    workspace, profile = open_workspace(folder)
    settings = load_settings(a1111_url=url, kohya_folder=kohya, kohya_python=kohya_python, lora_folder=lora_folder)
    # Everything that may be missing is looked for before the first picture, not after a night.
    install = find_kohya(settings)
    with open_servers(settings) as servers, progress() as bar:
        renderer = servers.renderer(profile, workspace)
        checkpoint = pipeline.base_checkpoint(profile, workspace, renderer)
        pipeline.check_training(profile, workspace, install, checkpoint)
        pipeline.check_grids(profile, workspace, renderer)
        for made in pipeline.make_pictures(profile, workspace, renderer, on_progress=bar):
            for sentence in (*made.notes, *made.failed):
                note(f"{made.name}: {sentence}")
        checked = pipeline.check_dataset(profile, workspace, on_progress=bar)
        show_check(checked.result)
        refuse_untrainable(checked.result, built=False)
        if checked.result.verdict == "will lock" and not anyway:
            raise DatasetError(
                "The training was not started: the findings above would be locked into the LoRA.",
                fix="Mend the dataset and run the same command again, or add --anyway.",
            )
        pipeline.build_dataset(profile, workspace, checked.pictures)
        ready = preflight(profile, install, workspace, checkpoint=checkpoint)
        with keyboard.for_training(ready.planned, wait=asked_to_wait(), say=note) as listening:
            pipeline.train_ready(ready, a1111=lambda: servers.client, on_event=listening(show_events(bar)))
        deployed = servers.deploy(workspace, profile.run_name)
        files_of = functools.partial(servers.deploy, workspace)
        for drawn in pipeline.draw_grids(profile, workspace, renderer, files_of=files_of, on_progress=bar):
            if drawn.residue:
                note(f"{drawn.folder.name}: {drawn.residue}")
        if profile.evaluation.rounds:
            pipeline.scout_seeds(profile, workspace, renderer, on_progress=bar)
            show_verdict(pipeline.evaluate_version(profile, workspace, renderer, deployed, on_progress=bar))
        answer(f"Report: {pipeline.write_report(profile, workspace)}")
