"""The installs that the settings name, opened: A1111 servers, a webui of ours, sd-scripts."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.a1111.managed import Webui
    from orchestrator.kohya.install import KohyaInstall
    from orchestrator.lora.deploy import Deployed
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.render.host import Keeper
    from orchestrator.settings import ServerAddress, Settings
    from orchestrator.workspace import Workspace

Say = Callable[[str], object]


def open_client(settings: Settings) -> A1111:
    """A client for the first of the settings' servers."""
    return _client(settings.addresses()[0])


def open_clients(settings: Settings) -> list[A1111]:
    """A client for each of the settings' servers, in their order; the caller closes them."""
    return [_client(address) for address in settings.addresses()]


def _client(address: ServerAddress) -> A1111:
    from orchestrator.a1111.client import A1111

    return A1111(address.url, username=address.user, password=address.password.get_secret_value())


def webui_log() -> Path:
    """The console of a webui that we start."""
    import platformdirs

    return platformdirs.user_log_path("orchestrator", appauthor=False) / "webui.log"


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


@dataclass(frozen=True)
class Servers:
    """`client` is the server recipes are made for; `others` are further ones, each with its LoRA folder."""

    settings: Settings
    client: A1111
    lora_folder: str
    others: tuple[tuple[A1111, str], ...]
    keepers: Mapping[str, Keeper]
    say: Say = str

    def renderer(self, profile: Profile, workspace: Workspace) -> Renderer:
        """A renderer on all of them, as patient as the settings say."""
        from orchestrator import pipeline
        from orchestrator.render.patience import Patience

        return pipeline.open_renderer(
            profile,
            workspace,
            self.client,
            [client for client, _ in self.others],
            patience=Patience(away_s=self.settings.patience_s),
            keepers=self.keepers,
            restart_every=self.settings.restart_every,
            say=self.say,
        )

    def deploy(self, workspace: Workspace, run_name: str) -> list[Deployed]:
        """Give the LoRA files of a run to all of them."""
        from orchestrator import pipeline

        return pipeline.deploy_run(workspace, run_name, self.client, self.lora_folder, self.others, self.say)


@contextlib.contextmanager
def open_servers(settings: Settings, say: Say = str, webui: Webui | None = None) -> Iterator[Servers]:
    """The settings' servers, ready to be asked. A webui that we start is ended with the block; one that is given is
    its owner's to start and to end.
    """
    from orchestrator.a1111 import managed
    from orchestrator.a1111.connection import port_is_open

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client) for client in open_clients(settings)]
        if webui is None:
            webui = managed_webui(settings, webui_log())
            if webui is not None:
                if not port_is_open(webui.url):
                    say(f"Starting the webui; its log is {webui.log}")
                stack.enter_context(managed.running(webui))
        addresses = settings.addresses()
        keepers = {client.url: _keeper(client, webui if client is clients[0] else None) for client in clients}
        folders = [address.lora_folder for address in addresses]
        yield Servers(settings, clients[0], folders[0], tuple(zip(clients[1:], folders[1:], strict=True)), keepers, say)


def _keeper(client: A1111, webui: Webui | None) -> Keeper:
    from orchestrator.a1111 import managed
    from orchestrator.render.host import Keeper

    revive: Callable[[], None] | None = webui.ensure if webui is not None and webui.ours else None
    return Keeper(functools.partial(managed.restart, client, webui), revive)
