"""Arguments of the descriptive metadata (modelspec)."""

from __future__ import annotations

import argparse


def add_model_spec_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe the model in its file."""
    parser.add_argument(
        "--metadata_title",
        type=str,
        default=None,
        help="title written into the model file (output_name when not given)",
    )
    parser.add_argument("--metadata_author", type=str, default=None, help="author written into the model file")
    parser.add_argument(
        "--metadata_description", type=str, default=None, help="description written into the model file"
    )
    parser.add_argument("--metadata_license", type=str, default=None, help="licence written into the model file")
    parser.add_argument(
        "--metadata_tags", type=str, default=None, help="tags written into the model file, separated by commas"
    )
    parser.add_argument("--metadata_usage_hint", type=str, default=None, help="usage hint written into the model file")
    parser.add_argument(
        "--metadata_thumbnail", type=str, default=None, help="thumbnail (data URL) written into the model file"
    )
    parser.add_argument(
        "--metadata_merged_from", type=str, default=None, help="names of the models this one was merged from"
    )
    parser.add_argument(
        "--metadata_trigger_phrase", type=str, default=None, help="trigger phrase written into the model file"
    )
    parser.add_argument("--metadata_preprocessor", type=str, default=None, help="preprocessor needed with this model")
    parser.add_argument(
        "--metadata_is_negative_embedding", type=str, default=None, help="whether the model is a negative embedding"
    )
