"""Options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.installs import find_kohya, managed_webui, open_client, open_clients

if TYPE_CHECKING:
    from orchestrator.profile.model import Profile
    from orchestrator.workspace import Workspace

__all__ = [
    "Urls", "address_option", "asked_to_wait", "checked", "find_kohya", "json_option", "kohya_options",
    "lora_folder_option", "managed_webui", "open_client", "open_clients", "open_workspace", "server_option",
    "workspace_option",
]  # fmt: skip

Command = TypeVar("Command", bound=Callable[..., Any])
#: What `--url` gives: every address named, or None.
Urls = tuple[str, ...] | None
_WAIT = "orchestrator: wait for the card"


def workspace_option(command: Command) -> Command:
    """`--workspace`, the folder the command works in."""
    return click.option(
        "-w",
        "--workspace",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        help="The workspace; default: the one this folder lies in.",
    )(command)


def server_option(command: Command) -> Command:
    """`--url` of a command that computes on the graphics card, and `--wait` for the card (`asked_to_wait`)."""
    command = click.option(
        "--wait",
        is_flag=True,
        expose_value=False,
        callback=lambda context, parameter, wait: context.meta.__setitem__(_WAIT, wait),
        help="Wait while another command or queue of yours has the graphics card, instead of refusing.",
    )(command)
    return address_option(command)


def asked_to_wait() -> bool:
    """Whether the command that runs was given `--wait`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_WAIT))


def address_option(command: Command) -> Command:
    """`--url`, the address of A1111 (`Urls`)."""
    return click.option(
        "--url",
        metavar="URL",
        multiple=True,
        callback=lambda context, parameter, urls: urls or None,
        help="A1111's address; several times for several servers. "
        "[default: http://127.0.0.1:7860; env var: ORCHESTRATOR_A1111_URL]",
    )(command)


def lora_folder_option(command: Command) -> Command:
    """`--lora-folder`, A1111's models/Lora."""
    return click.option(
        "--lora-folder",
        metavar="FOLDER",
        help="A1111's models/Lora; default: asked from A1111. [env var: ORCHESTRATOR_LORA_FOLDER]",
    )(command)


def kohya_options(command: Command) -> Command:
    """`--kohya` and `--kohya-python`."""
    command = click.option(
        "--kohya-python",
        metavar="FILE",
        help="The Python sd-scripts runs with; default: its own venv's. [env var: ORCHESTRATOR_KOHYA_PYTHON]",
    )(command)
    return click.option(
        "--kohya", metavar="FOLDER", help="The kohya_ss or sd-scripts folder. [env var: ORCHESTRATOR_KOHYA_FOLDER]"
    )(command)


def json_option(command: Command) -> Command:
    """`--json`, the answer for a script."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)


def open_workspace(folder: Path) -> tuple[Workspace, Profile]:
    """The workspace `folder` lies in and its profile."""
    from orchestrator.profile.load import load_profile
    from orchestrator.workspace import find_workspace

    workspace = find_workspace(folder)
    return workspace, checked(load_profile(workspace.profile), workspace.profile)


def checked(profile: Profile, source: Path) -> Profile:
    """`profile`, if its training preset exists and fits and its grids can be read. Raises `ProfileError` before
    anything is drawn.
    """
    from orchestrator.errors import ProfileError
    from orchestrator.grid.here import problems_of
    from orchestrator.training.preset import effective

    effective(profile.training, source)
    if problems := problems_of(profile):
        raise ProfileError(source, problems)
    return profile


def models_folder(url: Urls) -> Path:
    """A1111's models/Lora: from the settings, or asked from A1111."""
    from orchestrator.installs import open_client
    from orchestrator.lora.deploy import find_lora_folder
    from orchestrator.settings import load_settings

    settings = load_settings(a1111_url=url)
    with open_client(settings) as client:
        return find_lora_folder(client, settings.lora_folder or None)
