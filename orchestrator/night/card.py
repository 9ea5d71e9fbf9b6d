"""The card handed from A1111 to sd-scripts and back.

Before a training A1111 gives up its memory, and it is measured that it did. What does not (Forge ignores unload, it was
reported) is stopped if it is ours, and started again when something is drawn. The other way round A1111 loads its
checkpoint again. Between two trainings nothing is handed over. What was taken away is written down first, so that
whoever comes after our death gives it back. A server that draws for its owner is never touched: the job waits.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator import gpu, processes
from orchestrator.a1111.client import A1111
from orchestrator.a1111.connection import port_is_open
from orchestrator.a1111.managed import Webui
from orchestrator.errors import OrchestratorError, ServerStarting
from orchestrator.gpu import Holder, Lease
from orchestrator.installs import managed_webui, open_clients, webui_log
from orchestrator.jobs.control import CardBusy
from orchestrator.night import lent as notes
from orchestrator.night.lent import Lent
from orchestrator.settings import Settings, is_loopback, load_settings

_GB = 1 << 30
#: What a server that has unloaded may still keep: its CUDA context and a few buffers.
_UNLOADED_BYTES = 0.75 * _GB
#: Of a server's own use, what `reserved` does not count.
_CONTEXT_BYTES = 0.8 * _GB
#: How long A1111 may take to free its memory: it moves weights to main memory, and frees the rest at once.
_FREE_WITHIN_S = 20.0
_LOOK_S = 0.1
#: The owner draws, plays, trains by hand: it is looked again after so long.
_AGAIN_S = 60.0
_TOO = "the training also needs graphics card "


@dataclass
class NightCard:
    """One card as a worker has it (`orchestrator.jobs.worker.Card`), with the servers that compute on it."""

    lease: Lease
    ledger: str
    say: Callable[[str], object] = str
    free_within_s: float = _FREE_WITHIN_S
    _settings: Settings | None = None
    _webui: Webui | None = None
    #: Read from the disk when the lease is taken.
    _lent: Lent = field(default_factory=Lent)
    #: The further cards of a training on several.
    _more: list[Lease] = field(default_factory=list)

    @property
    def note(self) -> Path:
        """Where it is written what was taken from A1111."""
        return self.lease.folder / f"gpu-{self.lease.gpu}.lent.json"

    # What a worker asks

    def take(self) -> bool:
        """Have the card; False when another process has it, or a trainer of another queue still computes on it."""
        if self.lease.held:
            return True
        if not self.lease.take():
            return False
        before = self.lease.before()
        # One that a command at the keyboard began has no ledger: nobody here may adopt it, or end it.
        if before.ledger != self.ledger and before.signs and before.trainer() is not None:
            self.lease.release()
            return False
        self._lent = notes.read(self.note)
        return True

    def left_behind(self) -> bool:
        """Whether a trainer of this ledger may run that nobody looks after. Cheap, and needs no lease."""
        before = self.lease.before()
        return bool(before.signs) and before.ledger == self.ledger

    def survivor(self) -> int | None:
        """The job of this ledger whose trainer runs on without a worker."""
        before = self.lease.before()
        return before.job if before.signs and before.trainer() is not None else None

    def end_survivor(self) -> None:
        """Stop that trainer; its states stay, and the training can be gone on with."""
        before = self.lease.before()
        found = before.trainer()
        self.say(f"The trainer of {before.title} runs on, and its job does not any more: it is stopped.")
        every = processes.find_all(*before.signs) if before.signs else []
        processes.stop_trees([*every, *([found] if found else [])])
        self.lease.use(Holder())

    def leave(self) -> None:
        """Give A1111 back what it gave up, end a webui that was started for the night, and let others have the card.

        Nothing is given back while a trainer runs on without us: it needs the memory.
        """
        if not self.lease.held:
            return
        try:
            if self.lease.before().trainer() is None:
                self.lease.use(Holder())
                self._give_back()
                self._end_webui()
        finally:
            self._leave_more()
            self.lease.release()

    # What jobs ask

    def for_training(self, settings: Settings, holder: Holder, gpus: Collection[int] = ()) -> None:
        """Make the card free for a trainer, and have all of `gpus` where it computes on others (empty = this one).
        Call it while the lease is held.

        Raises `CardBusy` when somebody else uses it, A1111's owner included; then nothing was touched.
        """
        try:
            self._take_more(settings, holder, set(gpus) - {self.lease.gpu})
            self._hand_over(settings, holder)
        except CardBusy:
            self._leave_more()
            raise

    def _hand_over(self, settings: Settings, holder: Holder) -> None:
        with self._servers(settings) as clients:
            before = self.lease.before()
            # Gone on with after our death: the card is its own already.
            if before.ledger == holder.ledger and before.job == holder.job and before.trainer() is not None:
                return
            self._refuse_busy(clients)
            self._refuse_others(settings, clients)
            self.use(holder)
            for client in clients:
                self._unload(client)
            if clients:
                self._until_free(settings, clients)

    def use(self, holder: Holder) -> None:
        """Write down on every card we have what it is used for."""
        for lease in (self.lease, *self._more):
            lease.use(holder)

    def training_ended(self) -> None:
        """No trainer runs any more."""
        self.use(Holder())
        self._leave_more()

    def for_drawing(self, settings: Settings, holder: Holder) -> Webui | None:
        """Make the card A1111's again; the webui of ours that draws, if it is ours. Raises `CardBusy`, and what
        starting a webui raises.
        """
        with self._servers(settings) as clients:
            self._refuse_busy(clients)
            self._refuse_others(settings, clients)
            self.lease.use(holder)
        self._give_back()
        self._settings = settings
        webui = self._own_webui(settings)
        if webui is not None:
            if not port_is_open(webui.url):
                self.say(f"Starting the webui; its log is {webui.log}")
            webui.ensure()
            if webui.child is not None:
                identity = webui.child.identity
                self._write(replace(self._lent, webui=(webui.url, identity.pid, identity.created)))
        return webui

    # Underneath

    @contextlib.contextmanager
    def _servers(self, settings: Settings) -> Iterator[list[A1111]]:
        """The servers of this machine that run; closed with the block."""
        self._settings = settings
        with contextlib.ExitStack() as stack:
            every = [stack.enter_context(client) for client in open_clients(settings)]
            yield [client for client in every if is_loopback(client.url) and port_is_open(client.url)]

    def _take_more(self, settings: Settings, holder: Holder, gpus: Collection[int]) -> None:
        """All of the further cards, or none: two queues that wait for each other's would wait for ever."""
        self._leave_more()
        for number in sorted(gpus):
            lease = Lease(number, self.lease.folder)
            if not lease.take():
                raise CardBusy(f"{_TOO}{number}, which another command or queue has", _AGAIN_S)
            self._more.append(lease)
            before = lease.before()
            if before.signs and before.trainer() is not None:
                if before.signs == holder.signs:
                    continue
                raise CardBusy(f"{_TOO}{number}, on which another trainer computes", _AGAIN_S)
            used = gpu.memory(number)
            if used is not None and used.used > settings.card_in_use_gb * _GB:
                raise CardBusy(f"{_TOO}{number}, where {used.used / _GB:.1f} GB are in use", _AGAIN_S)

    def _leave_more(self) -> None:
        for lease in self._more:
            lease.release()
        self._more.clear()

    def _refuse_busy(self, clients: Sequence[A1111]) -> None:
        for client in clients:
            try:
                state = client.progress().state
            except ServerStarting as error:
                raise CardBusy(f"A1111 at {client.url} is starting", 15.0) from error
            except OrchestratorError:
                continue  # no A1111; what it holds is seen by its memory
            if state.job or state.job_count > 0:
                raise CardBusy(f"A1111 at {client.url} draws for somebody else", _AGAIN_S)

    def _refuse_others(self, settings: Settings, clients: Sequence[A1111]) -> None:
        """Somebody plays, or trains by hand: memory that is neither A1111's nor ours."""
        used = _used(self.lease.gpu, clients)
        if used is None:
            return
        theirs = [kept + _CONTEXT_BYTES for client in clients if (kept := _kept(client)) is not None]
        limit = settings.card_in_use_gb * _GB
        others = used - sum(theirs)
        if len(theirs) < len(clients) or others <= limit:
            return  # a server that does not tell what it keeps: nobody can say whose the rest is
        large = [one for one in gpu.users(self.lease.gpu) if one.used and one.used > limit]
        # With a server there its own process is among them, and nothing tells which it is.
        who = large[0].name if len(large) == 1 and not clients else "another program"
        raise CardBusy(f"{who} holds {others / _GB:.1f} GB of the graphics card", _AGAIN_S)

    def _unload(self, client: A1111) -> None:
        if client.url not in self._lent.unloaded:
            self._write(replace(self._lent, unloaded=(*self._lent.unloaded, client.url)))
        try:
            client.unload_checkpoint()
        except OrchestratorError as error:
            self.say(f"{client.url} could not be asked to free the card: {error.what}")

    def _until_free(self, settings: Settings, clients: Sequence[A1111]) -> None:
        """Wait until the servers have really freed the card. One that does not is stopped if it is ours."""
        deadline = time.monotonic() + self.free_within_s
        keeping = [client for client in clients if _keeps(client)]
        while keeping and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            keeping = [client for client in keeping if _keeps(client)]
        for client in keeping:
            if self._stop_ours(settings, client.url):
                self.say(f"{client.url} kept its memory: it is stopped, and started again when something is drawn.")
            else:
                self.say(
                    f"{client.url} keeps {(_kept(client) or 0) / _GB:.1f} GB of the card, though it was asked to free "
                    "it: the training may run out of memory. A webui that is started by us (a1111_command) would be "
                    "stopped meanwhile."
                )

    def _stop_ours(self, settings: Settings, url: str) -> bool:
        webui = self._own_webui(settings)
        if webui is not None and webui.url == url and webui.ours:
            webui.stop()
        elif self._lent.webui is not None and self._lent.webui[0] == url and self._lent.process is not None:
            if not processes.stop_tree(self._lent.process):
                return False
        else:
            return False
        self._write(Lent(tuple(one for one in self._lent.unloaded if one != url), None))
        return True

    def _give_back(self) -> None:
        if not self._lent.unloaded:
            return
        with self._servers(self._settings or load_settings()) as clients:
            for client in clients:
                if client.url in self._lent.unloaded:
                    # What matters is that the memory was there for the training; A1111 loads by itself when it draws.
                    with contextlib.suppress(OrchestratorError):
                        client.reload_checkpoint()
        self._write(replace(self._lent, unloaded=()))

    def _own_webui(self, settings: Settings) -> Webui | None:
        if self._webui is None or self._webui.command != settings.a1111_command:
            self._webui = managed_webui(settings, webui_log())
        return self._webui

    def _end_webui(self) -> None:
        if self._webui is not None and self._webui.ours:
            self._webui.stop()
        elif self._lent.process is not None:
            processes.stop_tree(self._lent.process)
        if self._lent.webui is not None:
            self._write(replace(self._lent, webui=None))

    def _write(self, lent: Lent) -> None:
        self._lent = lent
        notes.write(self.note, lent)


def _kept(client: A1111) -> float | None:
    """The bytes of the card a server keeps for itself; None where it does not tell."""
    try:
        reserved = client.memory().cuda.reserved
    except OrchestratorError:
        return None
    return reserved.get("current")


def _keeps(client: A1111) -> bool:
    kept = _kept(client)
    return kept is not None and kept > _UNLOADED_BYTES


def _used(number: int, clients: Sequence[A1111]) -> float | None:
    """The bytes of the card that are used by all programs together; None where nobody tells."""
    for client in clients:
        with contextlib.suppress(OrchestratorError):
            system = client.memory().cuda.system
            if system is not None:
                return system.used
    told = gpu.memory(number)
    return None if told is None else float(told.used)
