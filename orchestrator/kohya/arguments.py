"""Which arguments THIS install of sd-scripts accepts, read from its source without running it.

sd-scripts silently ignores unknown keys and wrong types in its configuration file, so everything must be checked
before it starts. Asking the program itself (`--help`) imports torch and takes 11 to 15 seconds; following
`setup_parser` through the source takes a fraction of a second (0.15 s for 193 arguments) and needs nothing but this
Python. What was read is kept on disk until the source changes.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.errors import KohyaNotFound
from orchestrator.kohya.code_cache import remembered
from orchestrator.kohya.install import SCRIPT_NAME, KohyaInstall

#: setup_parser's calls are at most four deep in every known version; a cycle must not hang us.
_MAX_DEPTH = 12


@dataclass(frozen=True)
class Argument:
    """One argument as argparse knows it.

    `type` is the name of the converter ("str", "int", "float", "int_or_float", "Path"; "bool" for a flag); `nargs` is
    "*", "+", "?", a number as text, or empty; `default` is None also where the source computes it.
    """

    name: str
    type: str
    nargs: str
    default: Any
    choices: tuple[Any, ...] | None
    flag: bool

    @property
    def many(self) -> bool:
        """Whether the value is a list."""
        return self.nargs not in {"", "?"}


def read(install: KohyaInstall, script: str = SCRIPT_NAME, cache: Path | None = None) -> Mapping[str, Argument]:
    """All arguments of `script`, by name; read once per process and, where a `cache` folder is given, once per version
    of the code.

    Raises `KohyaNotFound` when the script is missing or is not written as any known version is.
    """
    return _read(install.root, script, install.code_hash, cache)


@lru_cache(maxsize=16)
def _read(root: Path, script: str, code_hash: str, cache: Path | None) -> Mapping[str, Argument]:
    def made() -> list[list[Any]]:
        return [
            [a.name, a.type, a.nargs, a.default, None if a.choices is None else list(a.choices), a.flag]
            for a in _from_source(root, script).values()
        ]

    rows = remembered(cache, f"arguments-{script.removesuffix('.py')}", code_hash, Path(__file__), made)
    return {
        name: Argument(name, kind, nargs, default, None if choices is None else tuple(choices), flag)
        for name, kind, nargs, default, choices, flag in rows
    }


def _from_source(root: Path, script: str) -> dict[str, Argument]:
    reader = _Reader(root)
    module = reader.module(script.removesuffix(".py"))
    if module is None:
        raise KohyaNotFound(
            f"{root} has no {script}.", fix="Update sd-scripts, or train a kind of model that this version knows."
        )
    reader.follow(module, "setup_parser", [], {}, 0)
    if "pretrained_model_name_or_path" not in reader.found or "output_dir" not in reader.found:
        raise KohyaNotFound(
            f"The arguments of {root / script} could not be read.",
            cause="It is damaged, or a version that is built differently from all known ones.",
            fix="Check out a released version of sd-scripts, then run the same command again.",
        )
    return reader.found


@dataclass(frozen=True)
class _Module:
    functions: Mapping[str, ast.FunctionDef]
    #: Local name → (module, name in it or "" for the module itself).
    imports: Mapping[str, tuple[str, str]]


class _Reader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: dict[str, Argument] = {}
        self._modules: dict[str, _Module | None] = {}

    def module(self, name: str) -> _Module | None:
        """The parsed module of that dotted name inside the install, or None for anything else (torch, argparse …)."""
        if name not in self._modules:
            base = self.root.joinpath(*name.split("."))
            file = next((f for f in (base.with_name(base.name + ".py"), base / "__init__.py") if f.is_file()), None)
            self._modules[name] = None if file is None else _parse(file)
        return self._modules[name]

    def follow(self, module: _Module, name: str, args: list[Any], keywords: dict[str, Any], depth: int) -> None:
        """Walk the function `name` of `module` as if it were called with these values."""
        function = module.functions.get(name)
        if function is None:
            if name in module.imports:
                self._follow_import(module.imports[name], args, keywords, depth)
            return
        if depth < _MAX_DEPTH:
            self._block(module, function.body, _bind(function, args, keywords), depth)

    def _follow_import(self, target: tuple[str, str], args: list[Any], keywords: dict[str, Any], depth: int) -> None:
        module = self.module(target[0])
        if module is not None and target[1]:
            self.follow(module, target[1], args, keywords, depth + 1)

    def _block(self, module: _Module, statements: list[ast.stmt], names: dict[str, Any], depth: int) -> None:
        for statement in statements:
            if isinstance(statement, ast.If):
                truth = _value(statement.test, names)
                # A condition we cannot decide: an argument that may exist is better than one we would forbid.
                if truth is _UNKNOWN or truth:
                    self._block(module, statement.body, names, depth)
                if truth is _UNKNOWN or not truth:
                    self._block(module, statement.orelse, names, depth)
            elif (
                isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign, ast.Return)) and statement.value is not None
            ):
                for call in _calls(statement.value):
                    self._call(module, call, names, depth)
            elif isinstance(statement, (ast.With, ast.For, ast.Try)):
                self._block(module, statement.body, names, depth)

    def _call(self, module: _Module, call: ast.Call, names: dict[str, Any], depth: int) -> None:
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr == "add_argument":
            for argument in _arguments(call, names):
                self.found[argument.name] = argument
            return
        args = [_value(a, names) for a in call.args]
        keywords = {k.arg: _value(k.value, names) for k in call.keywords if k.arg}
        if isinstance(function, ast.Name):
            self.follow(module, function.id, args, keywords, depth + 1)
        elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            target = module.imports.get(function.value.id)
            if target is not None:
                dotted = f"{target[0]}.{target[1]}" if target[1] else target[0]
                self._follow_import((dotted, function.attr), args, keywords, depth)


class _Unknown:
    """A value that only running the program would tell; true for no one."""


_UNKNOWN = _Unknown()


def _parse(file: Path) -> _Module:
    try:
        with warnings.catch_warnings():
            # sd-scripts has strings with invalid escapes: nothing its user or ours could do about.
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError) as error:
        raise KohyaNotFound(
            f"{file} cannot be read as Python ({error}).",
            fix="Restore the file (`git checkout`), then run the same command again.",
        ) from error
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    imports: dict[str, tuple[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0],
                    "",
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                imports[alias.asname or alias.name] = (node.module, alias.name)
    return _Module(functions, imports)


def _bind(function: ast.FunctionDef, args: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    defaults = function.args.defaults
    bound = {name: _value(d, {}) for name, d in zip(names[len(names) - len(defaults) :], defaults, strict=True)}
    for name, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if default is not None:
            bound[name.arg] = _value(default, {})
    bound.update(zip(names, args, strict=False))
    bound.update(keywords)
    return bound


def _calls(expression: ast.expr) -> list[ast.Call]:
    # Inner calls first, as Python evaluates them.
    return [node for node in reversed(list(ast.walk(expression))) if isinstance(node, ast.Call)]


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id, _UNKNOWN)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _value(node.operand, names)
        return _UNKNOWN if inner is _UNKNOWN else not inner
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return _UNKNOWN


def _arguments(call: ast.Call, names: Mapping[str, Any]) -> list[Argument]:
    flags = [f for f in (_value(a, names) for a in call.args) if isinstance(f, str)]
    options = {k.arg: k.value for k in call.keywords if k.arg}

    def option(key: str) -> Any:
        value = _value(options[key], names) if key in options else None
        return None if value is _UNKNOWN else value

    long = next((f for f in flags if f.startswith("--")), flags[0] if flags else "")
    name = option("dest") or long.lstrip("-").replace("-", "_")
    if not name:
        return []
    action = option("action") or "store"
    if action == "help":
        return []
    flag = action in {"store_true", "store_false"}
    converter = options.get("type")
    named = (
        converter.id
        if isinstance(converter, ast.Name)
        else converter.attr
        if isinstance(converter, ast.Attribute)
        else "str"
    )
    nargs, choices = option("nargs"), option("choices")
    default = option("default")
    return [
        Argument(
            name=name,
            type="bool" if flag else named,
            nargs="" if nargs is None else str(nargs),
            default=(action == "store_false") if flag and default is None else default,
            choices=None if choices is None else tuple(choices),
            flag=flag,
        )
    ]
