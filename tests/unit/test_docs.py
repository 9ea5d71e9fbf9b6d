"""The docs say what is true: references are fresh, links lead somewhere, every command shown exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from orchestrator.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))
WRITTEN = [page for page in PAGES if "reference" not in page.parts]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("page", "function"), [("commands.md", "commands"), ("lora-toml.md", "profile")])
def test_the_reference_is_fresh(page: str, function: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == getattr(generator(), function)(), "run: python3 docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def shown_commands() -> list[tuple[str, str]]:
    found = []
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
        lines += re.findall(r"`(orchestrator [^`…]+)`", text)
        for line in lines:
            found += [
                (page.name, part.strip()) for part in line.split("&&") if part.strip().startswith("orchestrator ")
            ]
    return found


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_every_command_shown_is_one(page: str, line: str) -> None:
    arguments = shlex.split(line)[1:]
    context, command = click.Context(cli), cli
    while arguments and isinstance(command, click.Group):
        found = command.get_command(context, arguments[0])
        if found is None:
            break
        context, command, arguments = click.Context(found), found, arguments[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
    for argument in arguments:
        if argument.startswith("-"):
            assert argument in known, f"{page}: {line}"
    assert not isinstance(command, click.Group) or not arguments or arguments[0].startswith("-"), f"{page}: {line}"


def test_every_dependency_has_its_line() -> None:
    if importlib.util.find_spec("tomllib") is None:
        import tomli as tomllib
    else:
        import tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [re.match(r"[\w-]+", line)[0] for line in [*project["dependencies"], *extras["vision"], *extras["test"]]]  # type: ignore[index]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert [name for name in named if name not in page and not name.startswith("types-")] == []
