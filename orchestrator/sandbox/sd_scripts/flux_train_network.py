"""Simulated LoRA trainer for Flux, with the command line of sd-scripts: see `train_network.py`."""

# mypy: disable-error-code="import-not-found,no-any-return"
from __future__ import annotations

import argparse

import train_network
from library import flux_train_utils, train_util


def setup_parser() -> argparse.ArgumentParser:
    """Return the parser with every argument of the trainer."""
    parser = train_network.setup_parser()
    train_util.add_dit_training_arguments(parser)
    flux_train_utils.add_flux_train_arguments(parser)

    parser.add_argument("--split_mode", action="store_true", help="old way to say blocks_to_swap")
    return parser


if __name__ == "__main__":
    train_network.main(setup_parser(), "FLUX")
