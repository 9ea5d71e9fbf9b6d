"""The A1111 servers a command draws on: opened, started where they are ours to start, given LoRA files."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli.console import note
from orchestrator.cli.options import managed_webui, open_clients

if TYPE_CHECKING:
    from orchestrator.a1111.client import A1111
    from orchestrator.a1111.managed import Webui
    from orchestrator.lora.deploy import Deployed
    from orchestrator.profile.model import Profile
    from orchestrator.render.engine import Renderer
    from orchestrator.render.host import Keeper
    from orchestrator.settings import Settings
    from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Servers:
    """`client` is the server recipes are made for; `others` are further ones, each with its LoRA folder."""

    settings: Settings
    client: A1111
    lora_folder: str
    others: tuple[tuple[A1111, str], ...]
    keepers: Mapping[str, Keeper]

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
            say=note,
        )

    def deploy(self, workspace: Workspace, run_name: str) -> list[Deployed]:
        """Give the LoRA files of a run to all of them."""
        from orchestrator import pipeline

        return pipeline.deploy_run(workspace, run_name, self.client, self.lora_folder, self.others, note)


@contextlib.contextmanager
def open_servers(settings: Settings) -> Iterator[Servers]:
    """The settings' servers, ready to be asked. A webui that we start is ended with the block."""
    import platformdirs

    from orchestrator.a1111 import managed
    from orchestrator.a1111.connection import port_is_open

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client) for client in open_clients(settings)]
        logs = platformdirs.user_log_path("orchestrator", appauthor=False)
        webui = managed_webui(settings, logs / "webui.log")
        if webui is not None:
            if not port_is_open(webui.url):
                note(f"Starting the webui; its log is {webui.log}")
            stack.enter_context(managed.running(webui))
        addresses = settings.addresses()
        keepers = {client.url: _keeper(client, webui if client is clients[0] else None) for client in clients}
        folders = [address.lora_folder for address in addresses]
        yield Servers(settings, clients[0], folders[0], tuple(zip(clients[1:], folders[1:], strict=True)), keepers)


def _keeper(client: A1111, webui: Webui | None) -> Keeper:
    from orchestrator.a1111 import managed
    from orchestrator.render.host import Keeper

    revive: Callable[[], None] | None = webui.ensure if webui is not None and webui.ours else None
    return Keeper(functools.partial(managed.restart, client, webui), revive)
