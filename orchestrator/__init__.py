"""Drives existing AUTOMATIC1111 and kohya_ss installs through the whole making of a LoRA."""

from __future__ import annotations

__version__ = "0.1.0"
