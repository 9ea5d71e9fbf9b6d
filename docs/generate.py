"""Writes docs/reference/ from the code: `python3 docs/generate.py`. A test says when it is stale."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.cli import cli
from orchestrator.profile.model import Profile

REFERENCE = Path(__file__).parent / "reference"


def commands() -> str:
    """Every command's help page."""
    parts = ["# Commands", "Written by `docs/generate.py` from the commands themselves."]
    for path, command in _commands(cli, ()):
        context = click.Context(
            command, info_name=" ".join(("orchestrator", *path)), help_option_names=["-h", "--help"]
        )
        context.terminal_width = 100
        parts += [
            f"{'#' * (2 + max(len(path) - 1, 0))} {context.info_name}",
            f"```text\n{command.get_help(context)}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands(found, (*path, name))


def profile() -> str:
    """Every key of lora.toml."""
    parts = [
        "# lora.toml",
        "Written by `docs/generate.py` from the profile's models. "
        "`{trigger}`, `{name}` and `{version}` are put into prompts and captions.",
    ]
    for place, model in _tables(Profile, ""):
        if not place:
            continue
        rows = [
            f"| `{name}` | {_type(field)} | {_default(field)} | {' '.join((field.description or '').split())} |"
            for name, field in model.model_fields.items()
        ]
        doc = " ".join((model.__doc__ or "").split())
        parts += [f"## {place}", doc, "| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def _tables(model: type[BaseModel], place: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, model
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            path = ".".join(filter(None, (place.strip("[]"), name)))
            many = not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
            yield from _tables(inner, f"[[{path}]]" if many else f"[{path}]")


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in typing.get_args(annotation) if (found := _model_in(arg))), None)


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    choices = [arg for arg in (annotation, *typing.get_args(annotation)) if typing.get_origin(arg) is typing.Literal]
    if choices:
        return ", ".join(f"`{value}`" for value in typing.get_args(choices[0]))
    parts = typing.get_args(annotation)
    if _model_in(annotation):
        words = "table" if isinstance(annotation, type) else "tables"
        # Beside tables, the short form: a table of key = values, or texts.
        inside = list(_inside(annotation))
        short = "table" if any(typing.get_origin(part) is dict for part in inside) else ""
        short = "list of texts" if str in inside and not short else short
        return f"{short} or {words}" if short else words
    if str in parts and any(typing.get_origin(part) is tuple for part in parts):
        return "text, number or list"
    for kind, words in (("tuple[str", "list of texts"), ("tuple", "list of numbers"), ("dict", "table")):
        if str(annotation).startswith(kind):
            return words
    kind = next(each for each in (bool, int, float, str) if each in (annotation, *typing.get_args(annotation)))
    limits = [
        f"{sign} {getattr(limit, attribute)}"
        for limit in field.metadata
        for sign, attribute in _LIMITS
        if getattr(limit, attribute, None) is not None
    ]
    return " ".join(filter(None, (_WORDS[kind], ", ".join(limits))))


def _inside(annotation: object) -> Iterator[object]:
    """Every type a type is made of, itself first; what a table of ours is made of is not looked at."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from _inside(part)


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true, false"}
_LIMITS = (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt"), ("a multiple of", "multiple_of"))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value in ((), {}, None, ""):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    (REFERENCE / "commands.md").write_text(commands(), encoding="utf-8", newline="\n")
    (REFERENCE / "lora-toml.md").write_text(profile(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
