"""The metric `collapse`."""

from __future__ import annotations

import statistics

from orchestrator.evaluation.metrics.metric import Metric, Sight

#: Standard deviation of 16×16 grey values (0 to 255) below which a picture is one even surface. Drawn portraits lie
#: above 30, a foggy photograph above 8.
FLAT_BELOW = 4.0
#: Noise is flat when made small and sharper than any picture: white noise of full range has 5.0, a sharp photograph 3.
NOISE_COARSE_BELOW = 16.0
NOISE_SHARP_FROM = 4.0


def collapse(sight: Sight) -> float | None:
    """1 where the picture is black, one even surface, or noise."""
    seen = sight.seen
    if seen is None or not seen.colours:
        return None
    data = bytes.fromhex(seen.colours)
    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in zip(data[::3], data[1::3], data[2::3], strict=True)]
    coarse = statistics.pstdev(grey)
    return float(coarse < FLAT_BELOW or (coarse < NOISE_COARSE_BELOW and seen.sharpness >= NOISE_SHARP_FROM))


METRIC = Metric(
    "collapse",
    "the picture as 16×16 pixels without contrast, or without contrast there and full of fine detail",
    "rate",
    (0.0, 1.0),
    "a picture of fog or of a starry night is taken for it; a fried but recognisable picture is not",
    collapse,
    "yes or no",
    more_is_better=False,
)
