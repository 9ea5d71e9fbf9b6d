"""What GET /progress shows: the running job only, and the last job's leftovers when nothing runs."""

from __future__ import annotations

import datetime
import random
import threading
import time
from typing import Any

from PIL import Image

from .failures import Died


class State:
    """Written by the job that holds the queue, read by any number of progress requests."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self.closed = False
        self.job = ""
        self.job_count = 0
        self.job_no = 0
        self.job_timestamp = "0"
        self.sampling_steps = 0
        self.skipped = False
        self.interrupted = False
        self._began = 0.0
        self._sampling_since: float | None = None
        self._sampling_seconds = 0.0
        self._picture: Image.Image | None = None

    def begin(self, job: str) -> None:
        """A job has the card: forget the last one's flags."""
        self.skipped = self.interrupted = False
        self._wake.clear()
        self.job, self.job_count, self.job_no = job, -1, 0
        self.job_timestamp = datetime.datetime.now().strftime("%Y%m%d%H%M%S")
        self._began = time.monotonic()
        self._sampling_since = self._picture = None

    def end(self) -> None:
        """Nothing runs. The other values stay, as the real server leaves them."""
        self.job, self.job_count = "", 0
        self._sampling_since = self._picture = None

    def interrupt(self) -> None:
        """Cut whatever runs now; harmless when nothing does."""
        self.interrupted = True
        self._wake.set()

    def skip(self) -> None:
        """Cut the current batch only."""
        self.skipped = True
        self._wake.set()

    def close(self) -> None:
        """The server ends: nobody waits for the card any more."""
        self.closed = True
        self._wake.set()

    def next_batch(self) -> None:
        """A skip concerns one batch only."""
        self.skipped = False
        if not (self.interrupted or self.closed):
            self._wake.clear()

    def sample(self, steps: int, seconds: float, since: float, picture: Image.Image) -> float:
        """Hold the card until `since + seconds` (monotonic clock); the share of it that passed before an
        interrupt, 1.0 without one. Raises Died when the server ends."""
        self.sampling_steps = steps
        self._sampling_seconds, self._picture, self._sampling_since = seconds, picture, since
        while (left := since + seconds - time.monotonic()) > 0:
            if self._wake.wait(left):
                break
        if self.closed:
            raise Died
        share = 1.0 if seconds <= 0 else min(1.0, (time.monotonic() - since) / seconds)
        self._sampling_since = None
        return share if self.interrupted or self.skipped else 1.0

    def rest(self, seconds: float) -> None:
        """Hold the card without sampling (loading a checkpoint); ends early only when the server stops."""
        until = time.monotonic() + seconds
        while not self.closed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _share(self) -> float:
        since, seconds = self._sampling_since, self._sampling_seconds
        return 0.0 if since is None or seconds <= 0 else min(1.0, (time.monotonic() - since) / seconds)

    @property
    def sampling_step(self) -> int:
        """Steps done of the batch being sampled."""
        return min(int(self._share() * self.sampling_steps), max(self.sampling_steps - 1, 0))

    def preview(self, every: int) -> Image.Image | None:
        """A tiny half-denoised view, from step `every` on; None before it and for short jobs."""
        picture, share, step = self._picture, self._share(), self.sampling_step
        if picture is None or every <= 0 or step < every:
            return None
        small = picture.resize((max(picture.width // 8, 1), max(picture.height // 8, 1)), Image.Resampling.BILINEAR)
        noise = random.Random(step).randbytes(small.width * small.height * 3)
        return Image.blend(small, Image.frombytes("RGB", small.size, noise), 0.6 * (1.0 - share))

    def progress(self) -> tuple[float, float]:
        """Share done (0.01 … 1) and seconds left, by the formula the real server uses; (0, 0) when idle."""
        if self.job_count == 0:
            return 0.0, 0.0
        done = 0.01
        if self.job_count > 0:
            done += self.job_no / self.job_count
        if self.sampling_steps > 0:
            done += 1 / self.job_count * self.sampling_step / self.sampling_steps
        done = min(done, 1.0)
        spent = time.monotonic() - self._began
        return done, (spent / done - spent) if done > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """The `state` object of GET /progress."""
        return {
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "stopping_generation": False,
            "job": self.job,
            "job_count": self.job_count,
            "job_timestamp": self.job_timestamp,
            "job_no": self.job_no,
            "sampling_step": self.sampling_step,
            "sampling_steps": self.sampling_steps,
        }
