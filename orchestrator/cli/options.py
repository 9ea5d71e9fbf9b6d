"""Options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.a1111.managed import Webui
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.profile.model import Profile
    from orchestrator.settings import ServerAddress, Settings
    from orchestrator.workspace import Workspace

Command = TypeVar("Command", bound=Callable[..., Any])
#: What `--url` gives: every address named, or None.
Urls = tuple[str, ...] | None


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
    from orchestrator.lora.deploy import find_lora_folder
    from orchestrator.settings import load_settings

    settings = load_settings(a1111_url=url)
    with open_client(settings) as client:
        return find_lora_folder(client, settings.lora_folder or None)


def open_client(settings: Settings) -> A1111:
    """A client for the first of the settings' servers."""
    return _client(settings.addresses()[0])


def open_clients(settings: Settings) -> list[A1111]:
    """A client for each of the settings' servers, in their order; the caller closes them."""
    return [_client(address) for address in settings.addresses()]


def _client(address: ServerAddress) -> A1111:
    from orchestrator.a1111.client import A1111

    return A1111(address.url, username=address.user, password=address.password.get_secret_value())


def managed_webui(settings: Settings, log: Path) -> Webui | None:
    """The webui that `a1111_command` starts at the first server's address, not started yet; None where there is none to
    start: no command, or another machine. Raises `InstallError` when its program is not there.
    """
    from orchestrator.a1111 import managed

    first = settings.addresses()[0]
    if not settings.a1111_command or not first.on_this_machine:
        return None
    secrets = [entry.password_env for entry in settings.servers if entry.password_env]
    return managed.webui(first.url, settings.a1111_command, log=log, folder=settings.a1111_folder, secrets=secrets)


def find_kohya(settings: Settings) -> KohyaInstall:
    """The settings' sd-scripts. Raises `KohyaNotFound`."""
    from orchestrator.errors import KohyaNotFound
    from orchestrator.kohya import install

    if not settings.kohya_folder:
        raise KohyaNotFound(
            "Where kohya is has not been said.",
            fix="Give --kohya FOLDER, or set ORCHESTRATOR_KOHYA_FOLDER to the kohya_ss or sd-scripts folder.",
        )
    return install.find(settings.kohya_folder, settings.kohya_python or None)
