"""Makes the fonts in orchestrator/grid/font_files from Debian's `fonts-noto-cjk`: `python3 docs/fonts/subset.py`.

Needs fonttools. Kept are the characters of the national standards that people type: JIS X 0208 (all kanji of levels 1
and 2), GB 2312 level 1 and KS X 1001's Hangul, with Latin, Greek, Cyrillic and signs. Left out are hints (sheets are
drawn with anti-aliasing at 10 pixels and more) and vertical writing. The result is named otherwise than its source, as
the licence asks of changed fonts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection

SOURCE = Path("/usr/share/fonts/opentype/noto")
TARGET = Path(__file__).resolve().parents[2] / "orchestrator" / "grid" / "font_files"
#: (encoding, last row of its table that is kept)
TABLES = (("euc_jp", 0xFE), ("gb2312", 0xD7), ("euc_kr", 0xC8))
FAMILY = "Orchestrator Sans"
RANGES = (
    (0x20, 0x7F), (0xA0, 0x180), (0x370, 0x460), (0x1E00, 0x1F00), (0x2000, 0x2070), (0x20A0, 0x20D0),
    (0x2100, 0x2150), (0x2190, 0x2300), (0x2460, 0x2500), (0x2500, 0x27C0), (0x3000, 0x3100), (0x3200, 0x3400),
    (0xFF00, 0xFFF0),
)  # fmt: skip


def characters() -> Iterator[int]:
    """The code points to keep; some are not in the font."""
    for first, end in RANGES:
        yield from range(first, end)
    for encoding, last in TABLES:
        for row in range(0xA1, last + 1):
            for column in range(0xA1, 0xFF):
                try:
                    yield ord(bytes([row, column]).decode(encoding))
                except UnicodeDecodeError:
                    continue


def make(weight: str) -> Path:
    """One weight of the Japanese face of the collection, reduced."""
    names = {"Regular": "Noto Sans CJK JP", "Bold": "Noto Sans CJK JP Bold"}
    collection = TTCollection(SOURCE / f"NotoSansCJK-{weight}.ttc", lazy=True)
    font = next(face for face in collection.fonts if face["name"].getDebugName(4) == names[weight])
    options = subset.Options()
    options.hinting = False
    options.layout_features = ["kern"]
    options.name_IDs = ["*"]
    options.notdef_outline = True
    options.drop_tables += ["vhea", "vmtx", "VORG", "BASE", "GSUB"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=sorted(set(characters())))
    subsetter.subset(font)
    for number, name in ((1, FAMILY), (3, f"{FAMILY} {weight}"), (4, f"{FAMILY} {weight}"), (16, FAMILY)):
        font["name"].setName(name, number, 3, 1, 0x409)
    font["name"].setName(f"OrchestratorSans-{weight}", 6, 3, 1, 0x409)
    font["name"].names = [one for one in font["name"].names if one.platformID == 3 and one.langID == 0x409]
    top = font["CFF "].cff
    top.fontNames[0] = f"OrchestratorSans-{weight}"
    path = TARGET / f"OrchestratorSans-{weight}.otf"
    font.save(path)
    return path


if __name__ == "__main__":
    for each in ("Regular", "Bold"):
        print(make(each))
