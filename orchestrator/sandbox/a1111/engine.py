"""State of one server process: options, models, queue, and the card they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import generate, painting
from .card import Card
from .checkpoints import Checkpoints
from .conditioning import Conditioning
from .dialects import A1111, Dialect
from .job import Job
from .ledger import Ledger
from .life import Life
from .loras import LoraShelf
from .options import Options
from .processed import Processed
from .settings import Settings
from .state import State
from .tasks import Tasks
from .turns import Queue


class Engine:
    """Everything the routes work on. `process` and the loading methods need the queue to be held by the caller."""

    def __init__(
        self, home: Path, world: painting.World, settings: Settings, dialect: Dialect = A1111, life: Life | None = None
    ) -> None:
        self.home = home
        self.dialect = dialect
        self.life = life or Life()
        self.ledger = Ledger(home)
        self.world = world
        self.settings = settings
        self.queue = Queue()
        self.state = State()
        self.tasks = Tasks()
        self.options = Options(home / "config.json")
        self.checkpoints = Checkpoints(home / "models" / "Stable-diffusion")
        self.loras = LoraShelf(home / "models" / "Lora")
        self.card = Card(settings, self.state)
        self.conditioning = Conditioning(self.loras, self.card, settings)
        self.last_seed = 0
        """Of the job before: img2img takes its noise from the random state that job left."""
        self.load_chosen_checkpoint()
        self.life.at_death(self.close)

    def close(self) -> None:
        """The process ends: nothing waits or runs any more."""
        self.state.close()
        self.queue.close()

    def load_chosen_checkpoint(self) -> None:
        """Load what option sd_model_checkpoint says, if it is not loaded; the option then holds the title."""
        wanted = self.checkpoints.find(self.options.get("sd_model_checkpoint")) or self.checkpoints.first()
        if self.checkpoints.load(wanted):
            self.card.owe(self.settings.checkpoint_load_seconds)
            self.conditioning.forget_model()
            self.options.put("sd_model_checkpoint", wanted.title)
            self.options.put("sd_checkpoint_hash", wanted.sha256)

    def change_checkpoint(self) -> None:
        """Load at once, as POST /options does, and wait for it."""
        self.card.take()
        self.load_chosen_checkpoint()
        self.card.settle()

    def process(self, job: Job) -> Processed:
        """Paint one job with its override_settings in force, undone afterwards unless it says otherwise.

        An unknown checkpoint among them is dropped silently; after a known one the option is restored but the model
        stays until the next job. Raises ServerError.
        """
        overrides = dict(job.override_settings)
        if self.checkpoints.find(overrides.get("sd_model_checkpoint")) is None:
            overrides.pop("sd_model_checkpoint", None)
            self.load_chosen_checkpoint()
        if overrides.get("sd_vae") not in {None, "None", "Automatic"}:
            overrides.pop("sd_vae")
        before: dict[str, Any] = {}
        try:
            for key, value in overrides.items():
                before[key] = self.options.put(key, value)
                if key == "sd_model_checkpoint":
                    self.load_chosen_checkpoint()
            return generate.run(self, job)
        finally:
            if job.restore_settings:
                for key, value in before.items():
                    self.options.put(key, value)
