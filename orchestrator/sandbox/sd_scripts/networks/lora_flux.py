"""The LoRA network for Flux of the simulated trainer."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from networks import lora


def create_network(
    multiplier: float,
    network_dim: int | None,
    network_alpha: float | None,
    *,
    neuron_dropout: float | None = None,
    **options: str | float | None,
) -> lora.LoRANetwork:
    """Make the network: rank and alpha as SD1.5's. Raises `TypeError` for a rank that is no whole number."""
    return lora.create_network(multiplier, network_dim, network_alpha, neuron_dropout=neuron_dropout, **options)
