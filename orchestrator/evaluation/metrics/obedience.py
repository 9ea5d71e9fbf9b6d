"""The metric `obedience`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def obedience(sight: Sight) -> float | None:
    """How surely the picture shows what its round asks for."""
    return sight.obedience


METRIC = Metric(
    "obedience",
    "the server's tagger (WD14, else deepdanbooru): the surest of the pose's tags; framings by the face's size",
    "probability",
    (0.0, 1.0),
    "taggers learned from drawings; on photographs a tag may not rise, then the round is left out",
    obedience,
    more_is_better=True,
)
