"""The names an install knows (`orchestrator.kohya.known`), read from its source without running it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.kohya.install import SCRIPT_NAME
from orchestrator.kohya.packages import site_folders

#: In every version, though old ones do not name them in `get_scheduler_fix`.
_ALWAYS = ("cosine", "linear")


def read(root: Path) -> dict[str, Any]:
    """`optimizers` (name → module imported for it), `schedulers`, `network_modules` and `imports` of the install at
    `root`; what is not found there is empty.
    """
    source = _text(root / "library" / "train_util.py")
    return {
        "optimizers": _optimizers_of(_function(source, "get_optimizer")),
        "schedulers": _schedulers_of(_function(source, "get_scheduler_fix")),
        "network_modules": [
            f"networks.{path.stem}"
            for path in sorted((root / "networks").glob("*.py"))
            if "\ndef create_network(" in _text(path)
        ],
        "imports": sorted({*_foreign(_text(root / SCRIPT_NAME), root), *_foreign(source, root)}),
    }


def _function(source: str, name: str) -> ast.FunctionDef | None:
    # Only this function is parsed: the whole file takes 100 ms.
    start = source.find(f"\ndef {name}(") + 1
    if start == 0:
        return None
    end = re.compile(r"^(?:def |class |@)", re.MULTILINE).search(source, start + 1)
    try:
        (tree,) = ast.parse(source[start : end.start() if end else len(source)]).body
    except (SyntaxError, ValueError):
        return None
    return tree if isinstance(tree, ast.FunctionDef) else None


def _optimizers_of(function: ast.FunctionDef | None) -> dict[str, str]:
    """Every `optimizer_type == "Name".lower()` and what is imported where it holds."""
    found: dict[str, str] = {}

    def walk(statements: list[ast.stmt], module: str) -> None:
        for statement in statements:
            if not isinstance(statement, ast.If):
                continue
            inside = _imported(statement.body) or module
            for name in _compared(statement.test):
                found[name] = inside
            walk(statement.body, inside)
            walk(statement.orelse, module)

    if function is not None:
        walk(function.body, "")
    return found


def _imported(statements: list[ast.stmt]) -> str:
    """The module imported in `statements` themselves, mostly inside a `try`; of a branch below them only in its
    `else` (Prodigy's place beside the DAdapt family).
    """
    for statement in statements:
        if isinstance(statement, (ast.Try, ast.If)):
            inner = _imported(statement.body if isinstance(statement, ast.Try) else statement.orelse)
            if inner:
                return inner
        elif isinstance(statement, ast.Import):
            return statement.names[0].name.split(".")[0]
    return ""


def _compared(test: ast.expr) -> Iterator[str]:
    for node in ast.walk(test):
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Name)
            and node.left.id == "optimizer_type"
            and isinstance(node.ops[0], ast.Eq)
        ):
            for text in ast.walk(node.comparators[0]):
                if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value:
                    yield text.value


def _schedulers_of(function: ast.FunctionDef | None) -> list[str]:
    """Every `SchedulerType.NAME`: its value is its name in small letters."""
    names = {
        node.attr.lower()
        for node in ast.walk(function or ast.Module([], []))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and "SchedulerType" in node.value.id
    }
    return sorted({*names, *_ALWAYS}) if names else []


def torch_optimizers(python: Path) -> tuple[str, ...]:
    """The optimizers of the torch that `python` has; empty where there is none."""
    for folder in site_folders(python):
        text = _text(folder / "torch" / "optim" / "__init__.py")
        names = set(re.findall(r"^from (?:torch\.optim)?\.\w+ import ([A-Z]\w*)", text, re.MULTILINE))
        if names:
            return tuple(sorted(names - {"Optimizer"}))
    return ()


def _foreign(source: str, root: Path) -> Iterator[str]:
    """Modules that `source` imports unconditionally and that neither Python nor the install has."""
    for name in re.findall(r"^(?:import|from)\s+(\w+)", source, re.MULTILINE):
        if name not in sys.stdlib_module_names and not (root / name).is_dir() and not (root / f"{name}.py").is_file():
            yield name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
