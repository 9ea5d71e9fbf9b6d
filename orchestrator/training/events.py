"""What a running training tells whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union


@dataclass(frozen=True)
class Started:
    """A training begins, goes on after `resumed_from` epochs, or is found running already (`adopted`)."""

    name: str
    epochs: int
    resumed_from: int
    adopted: bool
    pid: int


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` optimizer steps of the whole run are done, in epoch `epoch` of `epochs`.

    `loss` is the mean over the last epoch's worth of steps, None at the beginning; `seconds_left` likewise. `rate_s` is
    the median time of the last steps in seconds, None before there are enough.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    seconds_left: float | None
    rate_s: float | None = None


@dataclass(frozen=True)
class Saved:
    """The LoRA file of an epoch is being written."""

    file: str
    epoch: int


@dataclass(frozen=True)
class Sampled:
    """A picture was drawn by the trainer after an epoch."""

    file: str
    epoch: int


@dataclass(frozen=True)
class Stalled:
    """Nothing has happened for so long; `diagnosis` says what the process is seen to do."""

    minutes: float
    diagnosis: str


@dataclass(frozen=True)
class Restarted:
    """The training was started again: why, and which of its values were changed for it."""

    why: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Note:
    """Something worth knowing that stops nothing."""

    text: str


TrainingEvent = Union[Started, Progress, Saved, Sampled, Stalled, Restarted, Note]  # noqa: UP007 (evaluated at run time, also on 3.10)
