"""What the console of sd-scripts can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union


@dataclass(frozen=True)
class Step:
    """The bar after `step` of `total` optimizer steps. Each step is printed twice, the second time with its own loss:
    the last counts.

    `loss` is the mean over the last epoch's worth of steps (nan possible), None before the first; `seconds_per_step`
    is the mean since the bar began, likewise; None too for steps under 0.1 s, of which the bar tells nonsense.
    `elapsed_s` are the whole seconds the bar counts, without the time spent on saving and sampling. After a resume the
    bar counts from 0 again while `total` stays that of the whole run.
    """

    step: int
    total: int
    loss: float | None
    seconds_per_step: float | None
    elapsed_s: int = 0


@dataclass(frozen=True)
class EpochStarted:
    """Epoch `epoch` of `total` begins; the first is 1."""

    epoch: int
    total: int


@dataclass(frozen=True)
class CheckpointSaved:
    """A LoRA file was announced. sd-scripts says so before it writes: only the file's own length tells when it is
    whole.
    """

    path: str


@dataclass(frozen=True)
class StateSaved:
    """A state folder is complete: its last file was written. `path` is empty where the log line was broken in it."""

    path: str


@dataclass(frozen=True)
class ModelSaved:
    """The last words of a training that came to its end."""


@dataclass(frozen=True)
class LossIsNaN:
    """The loss is no number any more at `step`. It never recovers, and sd-scripts would go on to the end and save
    garbage.
    """

    step: int


@dataclass(frozen=True)
class Phase:
    """Something else than training steps begins: latents are cached, a state is saved, a validation is computed."""

    name: Literal["latents", "saving", "validation"]


@dataclass(frozen=True)
class Sampling:
    """Sample pictures are being drawn after `step` steps of this attempt (0 = before the first)."""

    step: int


@dataclass(frozen=True)
class LatentsNaN:
    """A picture was turned into NaN by the VAE; sd-scripts goes on with zeros in its place."""


@dataclass(frozen=True)
class NoData:
    """sd-scripts found nothing to train on; it then ends with exit code 0."""


@dataclass(frozen=True)
class Warned:
    """A log line of level WARNING or ERROR. `level` is that word."""

    level: str
    text: str


@dataclass(frozen=True)
class Failed:
    """The last line of a Python traceback (`kind` = exception; indented lines below it belong to `text`), or a refused
    command line (`kind` = "argparse").
    """

    kind: str
    text: str


Event = Union[  # noqa: UP007 (evaluated at run time, also on 3.10)
    Step,
    EpochStarted,
    CheckpointSaved,
    StateSaved,
    ModelSaved,
    LossIsNaN,
    Phase,
    Sampling,
    LatentsNaN,
    NoData,
    Warned,
    Failed,
]
