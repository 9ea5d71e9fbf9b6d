"""The argument that names a dataset description."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a dataset description."""
    parser.add_argument("--dataset_config", type=Path, default=None, help="dataset description (.toml or .json)")
