"""The LoRA network for Flux of the simulated trainer."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from networks.lora import LoRANetwork, create_network

__all__ = ["LoRANetwork", "create_network"]
