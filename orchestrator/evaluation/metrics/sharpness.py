"""The metric `sharpness`."""

from __future__ import annotations

from orchestrator.evaluation.metrics.metric import Metric, Sight


def sharpness(sight: Sight) -> float | None:
    """How much fine detail the whole picture has."""
    return None if sight.seen is None else sight.seen.sharpness


METRIC = Metric(
    "sharpness",
    "log10 of the variance of the 4-neighbour Laplacian at 512×512",
    "log10",
    (-3.0, 5.5),
    "noise is sharp too, and a plain background is not: compare with the pictures without LoRA only",
    sharpness,
    least_spread=1e-6,
)
