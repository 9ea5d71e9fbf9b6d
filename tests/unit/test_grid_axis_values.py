"""Ranges and lists as A1111's plot writes them, and what is refused."""

from __future__ import annotations

import pytest

from orchestrator.grid.axes import KINDS, label, read_kind
from orchestrator.grid.axis_values import MOST_VALUES, BadValues, numbers, texts


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("10-80 (+10)", "10 20 30 40 50 60 70 80"),
        ("1-10", "1 2 3 4 5 6 7 8 9 10"),
        ("10-1 (-3)", "10 7 4 1"),
        ("5-1", "5 4 3 2 1"),
        ("-2-2 (+2)", "-2 0 2"),
        ("-1--3", "-1 -2 -3"),
        ("10-80 [4]", "10 33 56 80"),
        ("7 - 7", "7"),
        ("20, 28 ,40", "20 28 40"),
        ("1-3, 10-30 (+10), 99", "1 2 3 10 20 30 99"),
        ("9223372036854775807", "9223372036854775807"),
        ("20.0", "20"),
    ],
)
def test_whole_numbers(written: str, values: str) -> None:
    assert numbers(written, whole=True) == tuple(values.split())


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("0.2-1.0 [5]", "0.2 0.4 0.6 0.8 1"),
        ("0.1-0.5 (+0.1)", "0.1 0.2 0.3 0.4 0.5"),
        ("1-0.5 (-0.25)", "1 0.75 0.5"),
        (".5", "0.5"),
        ("0-1", "0 1"),
        ("0-1 [4]", "0 0.333333 0.666667 1"),
        ("-0.0", "0"),
    ],
)
def test_numbers_are_exact(written: str, values: str) -> None:
    assert numbers(written, whole=False) == tuple(values.split())


def test_sequences_are_values_as_they_stand_and_may_hold_ranges() -> None:
    assert numbers([0.2, 1, "3-5"], whole=False) == ("0.2", "1", "3", "4", "5")
    assert texts(["a, b", "c"]) == ("a, b", "c")


def test_quoted_words_keep_their_commas() -> None:
    assert texts('smile, "red hair, bun", "say ""hi""",') == ("smile", "red hair, bun", 'say "hi"')


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "no values"),
        (" , ", "no values"),
        ("1-10 (-1)", "never arrives"),
        ("1-10 (+0)", "never arrives"),
        ("1-10 [0]", "no values"),
        ("one", "no number"),
        ("1.5", "no whole number"),
        ("1-10000000", "10,000,000 values"),
        ("1-2 [9999999]", "9,999,999 values"),
        ("9" * 300, "more digits"),
        ("1e9", "no number"),
        ("nan", "no number"),
    ],
)
def test_what_cannot_be_read_says_why(written: str, why: str) -> None:
    with pytest.raises(BadValues, match=why):
        numbers(written, whole=True)


def test_several_ranges_share_the_room_of_one_axis() -> None:
    with pytest.raises(BadValues, match="values"):
        numbers(f"1-{MOST_VALUES}, 1-{MOST_VALUES}", whole=True)


def test_an_open_quote_is_told() -> None:
    with pytest.raises(BadValues, match="quotes"):
        texts('"red hair, bun')


@pytest.mark.parametrize(
    ("kind", "written", "why"),
    [
        ("steps", "0-10 (+5)", "0 is not between 1 and 150"),
        ("weight", "5", "not between -2 and 4"),
        ("seed", "-1", "-1 is not between"),
        ("seed", "1, 2, 1", "'1' stands here twice"),
        ("cfg", "7, 7.0", "'7' stands here twice"),
        ("size", "512", "no size"),
        ("size", "500x512", "multiples of 8"),
        ("size", "4096x4096", "megapixels"),
        ("sampler", "", "no values"),
    ],
)
def test_each_kind_has_its_limits(kind: str, written: str, why: str) -> None:
    with pytest.raises(BadValues, match=why):
        KINDS[kind].read(written)


def test_sizes_are_written_one_way_and_epochs_may_be_all() -> None:
    assert KINDS["size"].read("512×768, 768 x 512") == ("512x768", "768x512")
    assert KINDS["epoch"].read("all") == KINDS["epoch"].read(()) == ()


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("steps", ("steps", "")),
        ("CFG Scale", ("cfg", "")),
        ("Prompt S/R", ("replace", "")),
        ("option eta_ddim", ("option", "eta_ddim")),
        ('prompt weight "red hair"', ("prompt weight", "red hair")),
        ("prompt weight of red hair", ("prompt weight", "red hair")),
        ("negative prompt", ("negative prompt", "")),
        ("prompts", ("prompt", "")),
    ],
)
def test_kinds_as_people_write_them(written: str, kind: tuple[str, str]) -> None:
    assert read_kind(written) == kind


def test_a_misspelt_kind_is_told_which_was_meant() -> None:
    with pytest.raises(BadValues, match="did you mean 'sampler'"):
        read_kind("samplr")


def test_the_largest_seed_is_one_and_the_next_is_none() -> None:
    assert KINDS["seed"].read(str(2**63 - 1)) == ("9223372036854775807",)
    with pytest.raises(BadValues, match="not between"):
        KINDS["seed"].read(str(2**63))


def test_labels_are_short() -> None:
    assert label("epoch", KINDS["epoch"], "40") == "epoch 40"
    assert label("prompt", KINDS["prompt"], "a\n" * 99).endswith("…")
    assert label("smile", KINDS["replace"], "") == "smile: (nothing)"
