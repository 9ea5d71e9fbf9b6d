"""A worker with everything it needs, from its first job to the message in the morning."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator import gpu, notify
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.gpu import Lease
from orchestrator.jobs.model import Job
from orchestrator.jobs.place import state_folder
from orchestrator.jobs.store import Store
from orchestrator.jobs.worker import Until, Worker
from orchestrator.night import power, summary
from orchestrator.night.card import NightCard
from orchestrator.night.executors import executor
from orchestrator.night.power import Then
from orchestrator.night.summary import Night
from orchestrator.settings import Settings

#: The moment the night began; kept in the ledger, so that a worker that died does not cut the night in two.
BEGAN = "night began"
_NIGHTS = "nights"

Say = Callable[[str], object]


@dataclass
class Session:
    """One worker on the ledger at `path` and the card `number`. `settings` say whom to tell and what follows."""

    path: Path
    settings: Settings
    say: Say = str
    number: int = 0
    then: Then | None = None
    worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        if self.number or (gpu.count() or 1) > 1:
            gpu.choose(self.number)
        card = NightCard(Lease(self.number, state_folder() / "cards"), str(self.path.absolute()), self.say)
        execute = executor(self.path, card)
        self.worker = Worker(self.path, execute, card, say=self.say, on_end=self._job_ended, on_stall=self._stalled)

    def run(self, until: Until) -> None:
        """Work, then tell how it went. Raises `KeyboardInterrupt`, and what the ledger raises."""
        with Store(self.path) as store:
            if not store.fact(BEGAN):
                store.set_fact(BEGAN, str(time.time()))
        self.worker.run(until)
        self.close()

    def close(self) -> Path | None:
        """The summary of what ran, written and sent; None when nothing ran."""
        with Store(self.path) as store:
            began = store.fact(BEGAN)
            night = look_back(store, float(began or time.time()))
        if any(job.state == "running" for job in night.waiting):
            return None  # another worker is still at it, and tells when it is done
        ran = bool(night.over) or any(job.attempts for job in night.waiting)
        page = self._page(night) if ran else None
        with Store(self.path) as store:
            # Not before the page: whoever comes after our death tells of the whole night. But one worker alone does.
            if not (began and store.clear_fact(BEGAN, began)) or not ran:
                return None
        message = summary.text(night, page)
        self.say(message)
        if "night" in self.settings.notify_on:
            self._tell(summary.title(night), message, "warning" if night.failed else "success")
        self._wind_down()
        return page

    def _page(self, night: Night) -> Path | None:
        try:
            return summary.write(night, state_folder() / _NIGHTS / time.strftime("%Y-%m-%d-%H%M%S"))
        except OrchestratorError as error:
            self.say(str(error))
            return None

    def _wind_down(self) -> None:
        then = self.then or self.settings.when_done
        if then == "nothing":
            return
        cards = sorted((state_folder() / "cards").glob("gpu-*.lock"))
        leases = [Lease(int(number), path.parent) for path in cards if (number := path.stem[4:]).isdigit()]
        busy = [lease.gpu for lease in leases if lease.is_taken() or lease.before().trainer() is not None]
        if busy:
            self.say(f"Something of yours still computes on graphics card {busy[0]}: the machine stays on.")
            return
        with Store(self.path) as store:
            power.wind_down(then, store, self.say)

    def _job_ended(self, job: Job) -> None:
        """One message at once for what needs somebody."""
        wanted = self.settings.notify_on
        failure = job.failure
        if job.state in {"failed", "set aside"} and "failed" in wanted:
            words = "\n".join(filter(None, (failure.what, failure.cause, failure.fix))) if failure else job.why
            self._tell(f"{job.title} failed", words, "failure")
        elif job.state == "finished" and "finished" in wanted:
            self._tell(f"{job.title} is finished", summary.duration(job.worked_s), "success")

    def _stalled(self, job: Job, text: str) -> None:
        # In a thread: the one that calls says that the worker is alive.
        if "stalled" in self.settings.notify_on:
            words = (f"{job.title} stalled", text, "warning")
            threading.Thread(target=self._tell, args=words, name="stalled", daemon=True).start()

    def _tell(self, title: str, body: str, kind: notify.Kind) -> None:
        for wrong in notify.send(addresses(self.settings), title, body, kind):
            self.say(f"A notification did not arrive: {wrong.address}, {wrong.why}.")


def addresses(settings: Settings) -> Sequence[str]:
    """Whom to tell."""
    return [one.get_secret_value() for one in settings.notify]


def look_back(store: Store, since: float) -> Night:
    """What ran since a moment, and what is left."""
    over = [job for job in store.over(since=since) if job.attempts or job.state == "set aside"]
    stalls = []
    for event in store.events(since=since):
        if event.kind == "stalled":
            try:
                stalls.append(f"{event.job} {store.job(event.job).title}: {event.text}")
            except InputError:
                continue
    waiting = [job for job in store.open_jobs() if job.state in {"waiting", "paused", "running"}]
    return Night(since, time.time(), tuple(reversed(over)), tuple(waiting), tuple(stalls))
