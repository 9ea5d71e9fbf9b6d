"""Arguments of the console log."""

from __future__ import annotations

import argparse


def add_logging_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is logged and where."""
    parser.add_argument(
        "--console_log_level",
        type=str,
        default=None,
        choices=["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        help="lowest level of messages shown (INFO when not given)",
    )
    parser.add_argument(
        "--console_log_file", type=str, default=None, help="write log messages to this file instead of stderr"
    )
    parser.add_argument(
        "--console_log_simple", action="store_true", help="plain log messages on stdout, without time, level and place"
    )
