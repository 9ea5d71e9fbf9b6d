"""Rules of exclusion: `epoch <= 20 and weight <= 0.6`, a small expression over the names of the axes.

A rule is read by Python's own parser and never run: comparisons, `and`, `or`, `not`, `in`, brackets, numbers and quoted
words are all there is. A name with a blank in it may be written as it is or with an underscore (`clip skip`,
`clip_skip`).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Value = str | float
_Holds = Callable[[Mapping[str, Value]], bool]

#: Letters of a rule at most.
_LONGEST = 2000
_COMPARED: Mapping[type[ast.cmpop], Callable[[Value, Value], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class BadRule(ValueError):
    """A rule that cannot be read; the text says why, for a person."""


@dataclass(frozen=True)
class Rule:
    """One rule. `names` are the axes it speaks of, in their order; `text` is how it is shown."""

    text: str
    names: tuple[str, ...]
    _holds: _Holds

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the cell with these values (by axis name; those in `names` must be there) is left out."""
        return self._holds(values)


def read(text: str, numeric: Mapping[str, bool]) -> Rule:
    """The rule in `text`. `numeric` has every axis' name, and whether its values are numbers.

    Raises `BadRule` for anything but an expression over these axes, and for a comparison of a number with a word.
    """
    if len(text) > _LONGEST:
        raise BadRule(f"a rule has {_LONGEST} letters at most")
    by_identifier = {_identifier(name): name for name in numeric}
    try:
        tree = ast.parse(_identifiers(text, numeric), mode="eval")
        reader = _Reader(by_identifier, numeric)
        holds = reader.condition(tree.body)
    except SyntaxError as error:
        raise BadRule(f"it cannot be read: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise BadRule(str(error) if isinstance(error, BadRule) else "it cannot be read") from None
    names = tuple(name for name in numeric if name in reader.used)
    if not names:
        raise BadRule("it names no axis")
    shown = " ".join(text.split()).replace("<=", "≤").replace(">=", "≥").replace("!=", "≠")
    return Rule(shown, names, holds)


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name) or "_"


def _identifiers(text: str, names: Mapping[str, bool]) -> str:
    """`text` with names that are no identifiers (`clip skip`) written as such; quoted words stay as they are."""
    awkward = sorted((name for name in names if not name.isidentifier()), key=len, reverse=True)
    if not awkward:
        return text.strip()
    pattern = re.compile(r"""("[^"]*"|'[^']*')|(?<!\w)(""" + "|".join(map(re.escape, awkward)) + r")(?!\w)")
    return pattern.sub(lambda m: m[1] if m[1] is not None else _identifier(m[2]), text).strip()


class _Reader:
    def __init__(self, names: Mapping[str, str], numeric: Mapping[str, bool]) -> None:
        self._names, self._numeric = names, numeric
        self.used: set[str] = set()

    def condition(self, node: ast.expr) -> _Holds:
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            gather = all if isinstance(node.op, ast.And) else any
            return lambda values: gather(part(values) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand)
            return lambda values: not inner(values)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = [
                self._comparison(left, how, right) for left, how, right in zip(sides, node.ops, sides[1:], strict=False)
            ]
            return lambda values: all(pair(values) for pair in pairs)
        raise BadRule(f"{ast.unparse(node)!r} is no comparison, such as epoch <= 20")

    def _comparison(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> _Holds:
        if isinstance(how, ast.In | ast.NotIn):
            one, is_number = self._operand(left)
            if not isinstance(right, ast.Tuple | ast.List | ast.Set):
                raise BadRule(f"after `in` comes a list in brackets, not {ast.unparse(right)!r}")
            others = [self._operand(each) for each in right.elts]
            for (_, other_is_number), each in zip(others, right.elts, strict=True):
                self._same_kind(is_number, other_is_number, left, each)
            wanted = isinstance(how, ast.In)
            return lambda values: any(one(values) == other(values) for other, _ in others) == wanted
        compare = _COMPARED.get(type(how))
        if compare is None:
            raise BadRule("`is` compares nothing here; write == or !=")
        one, is_number = self._operand(left)
        other, other_is_number = self._operand(right)
        self._same_kind(is_number, other_is_number, left, right)
        return lambda values: compare(one(values), other(values))

    def _operand(self, node: ast.expr) -> tuple[Callable[[Mapping[str, Value]], Value], bool]:
        if isinstance(node, ast.Name):
            name = self._names.get(node.id)
            if name is None:
                known = ", ".join(self._names)
                raise BadRule(f"there is no axis {node.id!r}; the axes are: {known}. Words stand in quotes")
            self.used.add(name)
            return lambda values: values[name], self._numeric[name]
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1 if isinstance(node.op, ast.USub) else 1
            node = node.operand
            if not (isinstance(node, ast.Constant) and type(node.value) in {int, float}):
                raise BadRule(f"{ast.unparse(node)!r} is no number")
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            number = _number(node.value) * sign
            return lambda values: number, True
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value
            return lambda values: word, False
        raise BadRule(f"{ast.unparse(node)!r} is no axis, number or quoted word")

    def _same_kind(self, one: bool, other: bool, left: ast.expr, right: ast.expr) -> None:
        if one != other:
            raise BadRule(
                f"{ast.unparse(left)} and {ast.unparse(right)} are a number and a word; they compare to nothing"
            )


def _number(value: object) -> float:
    # Whole numbers stay whole: as floats two seeds could become one.
    assert isinstance(value, int | float)
    return value


def as_value(text: str, numeric: bool) -> Value:
    """An axis' value for a rule: a number where the axis has numbers."""
    if not numeric:
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)


def excluded(
    rules: Sequence[Rule], values: Mapping[str, Sequence[str]], numeric: Mapping[str, bool]
) -> list[tuple[Rule, tuple[str, ...], frozenset[tuple[int, ...]]]]:
    """Each rule with its axes and the index tuples over these at which it holds.

    A rule over two axes of ten values is asked a hundred times, however many cells the grid has.
    """
    import itertools

    found = []
    for rule in rules:
        read_values = [[as_value(text, numeric[name]) for text in values[name]] for name in rule.names]
        places = itertools.product(*(range(len(each)) for each in read_values))
        at = frozenset(
            place
            for place in places
            if rule.holds({name: each[i] for name, each, i in zip(rule.names, read_values, place, strict=True)})
        )
        found.append((rule, rule.names, at))
    return found
