"""A workspace, a simulated A1111 and the queue's commands as processes, for tests of whole nights."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orchestrator
from orchestrator import processes
from orchestrator.__main__ import main
from orchestrator.files import write_text
from orchestrator.jobs.model import Job
from orchestrator.jobs.store import Store
from orchestrator.sandbox import server as sandbox
from orchestrator.sandbox.a1111.settings import Settings
from orchestrator.sandbox.computing import CARD_LOG
from tests.integration import training_night

SANDBOX = Path(orchestrator.__file__).parent / "sandbox" / "sd_scripts"
PATIENCE_S = 60.0
PROFILE = """
[subject]
name = "ai_model"
version = {version}
[base]
path = {base}
[dataset]
resolution = 64
[generation]
width = 64
height = 64
steps = 2
[training]
epochs = {epochs}
save_every = {save_every}
dim = 4
alpha = 2
optimizer = "AdamW"
[[grids]]
name = "faces"
prompt = "{{trigger}}, close-up"
weights = [0.5, 1.0]
seeds = {seeds}
"""


#: A worker whose clock is ahead by as many seconds as stand in a file.
AHEAD = """
import sys, time
from pathlib import Path
from orchestrator.jobs.place import ledger_file
from orchestrator.night.session import Session
from orchestrator.settings import load_settings
ahead = Path(sys.argv[1])
session = Session(ledger_file(), load_settings(), lambda text: print(text, flush=True))
session.worker.clock = lambda: time.time() + float(ahead.read_text() or 0)
session.run(sys.argv[2])
"""


@dataclass
class Night:
    """One workspace and one ledger. `environment` is what the commands see besides ours."""

    root: Path
    url: str
    environment: dict[str, str] = field(default_factory=dict)
    #: Where server and trainers write when they really compute.
    computed: Path = Path()

    def __post_init__(self) -> None:
        training_night.make(self.root)
        self.profile()
        self.pace()
        self.environment = {
            "ORCHESTRATOR_A1111_URL": self.url,
            "ORCHESTRATOR_KOHYA_FOLDER": str(SANDBOX),
            "ORCHESTRATOR_KOHYA_PYTHON": sys.executable,
            "ORCHESTRATOR_LEDGER": str(self.ledger),
            "XDG_STATE_HOME": str(self.root / "state"),
            "ORCHESTRATOR_SANDBOX_STEP_SECONDS": str(self.root / "pace.txt"),
            **({CARD_LOG: str(self.computed)} if self.computed != Path() else {}),
            **self.environment,
        }

    @property
    def ledger(self) -> Path:
        return self.root / "state" / "ledger.sqlite3"

    @property
    def cards(self) -> Path:
        """Where leases and their logs lie."""
        return self.root / "state" / "orchestrator" / "queue" / "cards"

    def profile(
        self,
        *,
        version: str = "v1",
        epochs: int = 4,
        save_every: int = 2,
        seed: int = 42,
        seeds: tuple[int, ...] = (1,),
    ) -> None:
        """Write lora.toml."""
        base = json.dumps(str(self.root / "base.safetensors"), ensure_ascii=False)
        text = PROFILE.format(
            version=json.dumps(version), base=base, epochs=epochs, save_every=save_every, seeds=list(seeds)
        )
        (self.root / "lora.toml").write_text(text, encoding="utf-8")

    def pace(self, step_seconds: float = 0.001) -> None:
        """How long a step of this workspace's trainers takes from now on, those that run included."""
        write_text(self.root / "pace.txt", str(step_seconds))

    def start(self, *arguments: str, log: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        """`orchestrator queue …` in a process of its own."""
        return self.run([sys.executable, "-m", "orchestrator", "queue", *arguments], log, **environment)

    def start_ahead(self, ahead: Path, until: str, **environment: str) -> subprocess.Popen[str]:
        """A worker whose clock is ahead by the seconds in the file `ahead`."""
        return self.run([sys.executable, "-c", AHEAD, str(ahead), until], **environment)

    def run(self, words: list[str], log: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        """A process in the workspace."""
        out: Any = log.open("a", encoding="utf-8") if log is not None else subprocess.PIPE
        try:
            return subprocess.Popen(
                words,
                cwd=self.root, env={**os.environ, **self.environment, **environment}, text=True, encoding="utf-8",
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT if log is not None else subprocess.PIPE,
            )  # fmt: skip
        finally:
            if log is not None:
                out.close()

    def queue(self, *arguments: str, code: int = 0) -> str:
        """`orchestrator queue …` in this process; what it answered."""
        out, err = io.StringIO(), io.StringIO()
        before, here = dict(os.environ), Path.cwd()
        os.environ.update(self.environment)
        os.chdir(self.root)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                found = main(["queue", *arguments])
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
        assert found == code, f"{arguments}: {found}\n{out.getvalue()}\n{err.getvalue()}"
        return out.getvalue() + (err.getvalue() if code else "")

    def work(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """`orchestrator queue work …` in a process of its own, to its end."""
        arguments = ("work", *arguments)
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        return out + err if code else out

    def add(self, *arguments: str) -> list[int]:
        """Add jobs; their ids."""
        return [job["id"] for job in json.loads(self.queue("add", *arguments, "--json"))]

    def job(self, id_: int) -> Job:
        with Store(self.ledger) as store:
            return store.job(id_)

    def log(self, id_: int) -> list[str]:
        """The job's log, a line each."""
        with Store(self.ledger) as store:
            return [f"{event.kind} {event.text}".strip() for event in store.events(id_)]

    def wait(self, what: Callable[[], Any], name: str, within_s: float = PATIENCE_S) -> Any:
        """What `what` gives as soon as it gives something."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if value := what():
                return value
            time.sleep(0.02)
        raise AssertionError(f"{name} did not happen in time")

    def steps(self, id_: int) -> int:
        """Steps its trainer has told of; the look at the dataset before it is none."""
        progress = self.job(id_).progress
        return progress.done if progress is not None and progress.what == "train" else 0

    def trainers(self) -> list[processes.ProcessId]:
        """The living trainers of this workspace."""
        found = [processes.find_all("--config_file", str(path / "config.toml")) for path in self.runs()]
        return [one for each in found for one in each]

    def runs(self) -> list[Path]:
        folder = self.root / "runs"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def check_card(self) -> None:
        """Nothing computed on the card while a trainer did, by what they themselves wrote down."""
        if not self.computed.exists():
            return
        lines = [json.loads(line) for line in self.computed.read_text(encoding="utf-8").splitlines()]
        for pid in {line["pid"] for line in lines if line["who"] == "trainer"}:
            own = [line for line in lines if line["pid"] == pid]
            began, ended = own[0]["began"], own[-1]["ended"]
            beside = [each for each in lines if each["pid"] != pid and each["ended"] > began and each["began"] < ended]
            assert not beside, f"{beside[0]['who']} {beside[0]['pid']} computed while the trainer {pid} did"

    def held(self) -> list[dict[str, Any]]:
        """The log of who held the first card."""
        file = self.cards / "gpu-0.log.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def server_at(home: Path, settings: Settings, port: int = 0) -> Iterator[tuple[sandbox.RunningServer, Path]]:
    """A simulated A1111 that writes down when it computes, and where it does."""
    with sandbox_logging(home) as computed:
        running = sandbox.start(home, settings=settings, port=port)
    with running:
        yield running, computed


@contextlib.contextmanager
def sandbox_logging(home: Path) -> Iterator[Path]:
    """What is started within writes down when it computes."""
    computed = home / "computed.jsonl"
    before = os.environ.get(CARD_LOG)
    os.environ[CARD_LOG] = str(computed)
    try:
        yield computed
    finally:
        del os.environ[CARD_LOG]
        if before is not None:
            os.environ[CARD_LOG] = before
