"""One observation: what was measured on one picture of an evaluation round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class CellId:
    """One cell of the evaluation.

    A LoRA file's epoch at a weight. `epoch` None is the baseline: no LoRA and no trigger word.
    """

    epoch: int | None
    weight: float

    @property
    def is_baseline(self) -> bool:
        """Whether it shows what the seed alone draws."""
        return self.epoch is None

    @property
    def label(self) -> str:
        """The cell as a sentence names it: `epoch 50 at weight 0.8`, `no LoRA`."""
        return "no LoRA" if self.epoch is None else f"epoch {self.epoch} at weight {self.weight:g}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"epoch": self.epoch, "weight": self.weight}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CellId:
        """The inverse of `to_dict`."""
        return cls(None if data["epoch"] is None else int(data["epoch"]), float(data["weight"]))


BASELINE = CellId(None, 0.0)


@dataclass(frozen=True)
class Observation:
    """What was measured on one picture. None = not measured; `missing` and `error` say why.

    `identity_distance`: Euclidean distance of the face's embedding to the centre of the dataset's embeddings.
    `identity`: the same as 0…1 between this project's own anchors (`orchestrator.evaluation.identity`). `roll_deg`: +
    = leaning clockwise on screen. `obedience`: 0…1, how surely the picture shows what its round asks for; `obeys`:
    whether that is enough. `face_found` is None when nobody looked. `sharpness`: log10 of the variance of the
    Laplacian. `error`: why there is no picture at all.
    """

    cell: CellId
    round: str
    seed: int
    #: The recipe's key, which names the picture in the cache.
    key: str = ""
    path: str = ""
    identity_distance: float | None = None
    identity: float | None = None
    roll_deg: float | None = None
    obedience: float | None = None
    obeys: bool | None = None
    face_found: bool | None = None
    sharpness: float | None = None
    #: The numbers of `orchestrator.evaluation.metrics` by name; one that was not measured is not there.
    metrics: Mapping[str, float] = field(default_factory=dict)
    missing: str = ""
    error: str = ""

    @property
    def drawn(self) -> bool:
        """Whether there is a picture."""
        return not self.error

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Observation:
        """An observation from `to_dict`'s values. Raises KeyError or TypeError for anything else."""
        return cls(**{**data, "cell": CellId.from_dict(data["cell"])})
