"""`orchestrator init`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("name", type=click.Path(path_type=Path))
@click.option(
    "--from", "profile", default="article-sd15", show_default=True, help="A shipped profile's name, or a .toml file."
)
def command(name: Path, profile: str) -> None:
    """Make the workspace folder NAME with a lora.toml to edit.

    \b
    Example:  orchestrator init miku --from article-sd15
    """
    from orchestrator.cli.console import answer
    from orchestrator.profile.shipped import find_profile, make_workspace

    workspace = make_workspace(name, find_profile(profile), subject=name.resolve().name)
    answer(f"Made {workspace.profile}")
    answer("Next: look through it, then")
    answer(f"  cd {_quoted(name)}")
    answer("  orchestrator run")


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if any(sign in text for sign in " '()&;") else text
