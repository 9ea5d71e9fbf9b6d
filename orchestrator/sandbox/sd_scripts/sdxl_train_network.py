"""Simulated LoRA trainer for SDXL, with the command line of sd-scripts: see `train_network.py`."""

# mypy: disable-error-code="import-not-found,no-any-return"
from __future__ import annotations

import argparse

import train_network
from library import sdxl_train_util


def setup_parser() -> argparse.ArgumentParser:
    """Return the parser with every argument of the trainer."""
    parser = train_network.setup_parser()
    sdxl_train_util.add_sdxl_training_arguments(parser)
    return parser


if __name__ == "__main__":
    train_network.main(setup_parser(), "SDXL")
