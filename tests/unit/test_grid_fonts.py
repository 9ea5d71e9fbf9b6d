"""The fonts that come with the package, and wrapping."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.fonts import FOLDER, font, wrap


def test_japanese_wraps_between_characters_and_english_at_blanks() -> None:
    assert wrap("初音ミクの、髪", 4, len) == ["初音ミク", "の、髪"]
    assert wrap("looking at the camera", 10, len) == ["looking at", "the camera"]
    assert wrap("anunbreakableword", 6, len) == ["anunbr", "eakabl", "eword"]
    assert wrap("one two three four", 9, len, lines=1) == ["one two…"]


@given(st.text(max_size=60), st.integers(1, 20))
def test_wrapping_loses_no_letter_and_no_line_is_too_wide(text: str, width: int) -> None:
    lines = wrap(text, width, len)
    assert "".join("".join(lines).split()) == "".join(text.split())
    # closing punctuation may hang over by the one character it must not begin a line with
    assert all(len(line) <= max(width, 2) for line in lines)


@given(st.text(max_size=200), st.integers(3, 20), st.integers(1, 4))
def test_what_is_cut_off_ends_with_an_ellipsis(text: str, width: int, lines: int) -> None:
    cut, whole = wrap(text, width, len, lines=lines), wrap(text, width, len)
    assert len(cut) <= lines
    assert cut == whole or cut[-1].endswith("…")


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize(
    "text", ["epoch 40 × 0.8", "初音ミク、夕焼け", "鬱蒼", "한국어 미소", "夕阳长发飘扬", "Ärger über ключ ★ → ↓ …"]
)
def test_letters_people_write_are_in_the_font(text: str, bold: bool) -> None:
    face = font(20, bold=bold)
    missing = face.getmask("\U000f0000").getbbox()
    drawn = [bytes(face.getmask(letter)) for letter in text if letter.strip()]
    assert all(drawn)
    nothing = bytes(face.getmask("\U000f0000"))
    assert missing is not None
    assert nothing not in drawn


def test_the_font_needs_no_other_on_the_machine(tmp_path: Path) -> None:
    code = (
        "from orchestrator.grid.fonts import font, FOLDER;"
        "face = font(40); assert str(face.path).startswith(str(FOLDER)); print(round(face.getlength('初音')))"
    )
    env = {
        "PATH": "",
        "PYTHONPATH": str(FOLDER.parents[2]),
        "XDG_DATA_DIRS": str(tmp_path),
        "SYSTEMROOT": "C:\\Windows",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == "80"


def test_the_licence_of_the_fonts_lies_beside_them() -> None:
    text = (FOLDER / "OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in text
    assert "Copyright © 2014-2021 Adobe" in text
    assert sum(path.stat().st_size for path in FOLDER.glob("*.otf")) < 5_000_000
