"""A workspace, a simulated A1111 and the queue's commands as processes, for tests of whole nights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orchestrator
from orchestrator import processes
from orchestrator.jobs.model import Job
from orchestrator.jobs.store import Store
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

    def __post_init__(self) -> None:
        training_night.make(self.root)
        self.profile()
        self.environment = {
            "ORCHESTRATOR_A1111_URL": self.url,
            "ORCHESTRATOR_KOHYA_FOLDER": str(SANDBOX),
            "ORCHESTRATOR_KOHYA_PYTHON": sys.executable,
            "ORCHESTRATOR_LEDGER": str(self.ledger),
            "XDG_STATE_HOME": str(self.root / "state"),
            "ORCHESTRATOR_SANDBOX_STEP_SECONDS": "0.001",
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

    def queue(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run `orchestrator queue …` to its end; what it answered."""
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

    def trainers(self) -> list[processes.ProcessId]:
        """The living trainers of this workspace."""
        found = [processes.find_all("--config_file", str(path / "config.toml")) for path in self.runs()]
        return [one for each in found for one in each]

    def runs(self) -> list[Path]:
        folder = self.root / "runs"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def held(self) -> list[dict[str, Any]]:
        """The log of who held the first card."""
        file = self.cards / "gpu-0.log.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
