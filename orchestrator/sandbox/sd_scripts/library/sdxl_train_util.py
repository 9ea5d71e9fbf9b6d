"""Arguments of SDXL."""

from __future__ import annotations

import argparse


def add_sdxl_training_arguments(parser: argparse.ArgumentParser, support_text_encoder_caching: bool = True) -> None:
    """Add the arguments that only SDXL has."""
    if support_text_encoder_caching:
        parser.add_argument(
            "--cache_text_encoder_outputs", action="store_true", help="encode all captions once and keep the outputs"
        )
        parser.add_argument(
            "--cache_text_encoder_outputs_to_disk",
            action="store_true",
            help="keep the outputs beside the pictures (.npz)",
        )
    parser.add_argument(
        "--disable_mmap_load_safetensors", action="store_true", help="read model files without mapping them"
    )
