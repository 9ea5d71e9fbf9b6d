"""State of one server process: options, models, queue, and the card they share."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

from . import generate, lora_memory, painting
from .card import Card
from .checkpoints import Checkpoints
from .conditioning import Conditioning
from .dialects import DIALECTS
from .job import Job
from .ledger import Ledger
from .life import Life
from .options import Options
from .plain import PlainPainter
from .processed import Processed
from .settings import Settings
from .state import State
from .tasks import Tasks
from .turns import Queue
from .vaes import Embeddings, Vae, VaeFolder

_PAGE = 4096


class Engine:
    """Everything the routes work on. `process` and the loading methods need the queue to be held by the caller."""

    def __init__(self, home: Path, world: painting.World, settings: Settings, life: Life | None = None) -> None:
        self.home = home
        self.dialect = DIALECTS[settings.dialect]
        self.life = life or Life()
        self.ledger = Ledger(home)
        self.world = world
        self.settings = settings
        self.queue = Queue()
        self.state = State()
        self.tasks = Tasks()
        self.options = Options(home / "config.json", self.dialect)
        self.checkpoints = Checkpoints(home / "models" / "Stable-diffusion")
        self.loras = lora_memory.shelf(home / "models" / "Lora", self.dialect)
        self.vaes = VaeFolder(home / "models" / "VAE")
        self.embeddings = Embeddings(home / "embeddings")
        self.card = Card(settings, self.state)
        self.plain = PlainPainter() if settings.painter == "plain" else None
        self._leaked: list[mmap.mmap] = []
        self.conditioning = Conditioning(self.loras, self.card, settings)
        self.last_seed = 0
        """Of the job before: img2img takes its noise from the random state that job left."""
        self._start_checkpoint()
        self.life.at_death(self.close)

    def close(self) -> None:
        """The process ends: nothing waits or runs any more."""
        self.state.close()
        self.queue.close()
        while self._leaked:
            self._leaked.pop().close()

    def leak(self) -> None:
        """Lose some memory, really: pages are written, so that they count."""
        size = round(self.settings.leak_mb * 2**20)
        if size > 0:
            pages = mmap.mmap(-1, size)
            pages[::_PAGE] = b"\1" * len(range(0, size, _PAGE))
            self._leaked.append(pages)

    def _start_checkpoint(self) -> None:
        if self.dialect.chosen_at_start:
            self.load_chosen_checkpoint()
            return
        chosen = self.checkpoints.find(self.options.fresh_choice() or self.options.get("sd_model_checkpoint"))
        self.checkpoints.load(chosen or self.checkpoints.first())

    def load_chosen_checkpoint(self) -> None:
        """Load what option sd_model_checkpoint says, if it is not loaded; the option then holds the title.

        Without a choice (null) whatever is loaded stays.
        """
        chosen = self.options.get("sd_model_checkpoint")
        if chosen is None and self.checkpoints.loaded is not None:
            return
        wanted = self.checkpoints.find(chosen) or self.checkpoints.first()
        if self.checkpoints.load(wanted):
            self.card.owe(self.settings.checkpoint_load_seconds)
            self.conditioning.forget_model()
            if chosen is not None or self.dialect.chosen_at_start:
                self.options.put("sd_model_checkpoint", wanted.title)
                self.options.put("sd_checkpoint_hash", wanted.sha256)

    def change_checkpoint(self) -> None:
        """Load at once, as POST /options does, and wait for it."""
        self.card.take()
        self.load_chosen_checkpoint()
        self.card.settle()

    def modules(self) -> list[Vae]:
        """Forge's forge_additional_modules; paths it does not know are silently nothing."""
        asked = self.options.get("forge_additional_modules") if self.dialect.has_sd_modules else None
        found = [self.vaes.find(path) for path in asked] if isinstance(asked, list) else []
        return [module for module in found if module is not None]

    def vae(self) -> Vae | None:
        """The VAE file in force. On Forge option sd_vae means nothing."""
        if self.dialect.has_sd_modules:
            return next(iter(self.modules()), None)
        return self.vaes.find(self.options.get("sd_vae"))

    def process(self, job: Job) -> Processed:
        """Paint one job with its override_settings in force, undone afterwards unless it says otherwise.

        Unknown checkpoints and VAEs among them are dropped silently; after a known checkpoint the option is restored
        but the model stays until the next job. What was never set before is not restored at all. Raises ServerError.
        """
        overrides = dict(job.override_settings)
        if self.checkpoints.find(overrides.get("sd_model_checkpoint")) is None:
            overrides.pop("sd_model_checkpoint", None)
            self.load_chosen_checkpoint()
        if self.dialect.has_sd_vae and not self.vaes.knows(overrides.get("sd_vae")):
            overrides.pop("sd_vae")
        before: dict[str, Any] = {}
        try:
            for key, value in overrides.items():
                stood = self.options.stands(key)
                old = self.options.put(key, value)
                if stood:
                    before[key] = old
                if key == "sd_model_checkpoint":
                    self.load_chosen_checkpoint()
            return generate.run(self, job)
        finally:
            if job.restore_settings:
                for key, value in before.items():
                    self.options.put(key, value)
