"""Make the report: one folder with everything in it, to be opened, printed or sent away."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.files import file_stem, write_json, write_text
from orchestrator.grid import manifest as manifests
from orchestrator.grid.manifest import Manifest
from orchestrator.grid.viewer import VIEWER_NAME, write_viewer
from orchestrator.pages.page import look
from orchestrator.report import charts, derive, foretold, svg
from orchestrator.report.content import GridSection, ReportContent, ReportPicture, VersionSection
from orchestrator.report.pictures import Copy, all_pictures, copy_pictures, copy_sheet, full_side, remove_unused

PAGE_NAME = "index.html"
DATA_NAME = "report.json"


@dataclass(frozen=True)
class ShownGrid:
    """A grid as the page shows it."""

    title: str
    summary: str
    prompt: str
    #: Relative to the report.
    viewer: str
    sheets: tuple[tuple[str, Copy], ...] = ()


@dataclass
class _Pictures:
    """What the page asks for a picture: its copies, and the number of its record in the list of provenances."""

    copies: Mapping[Path, Copy]
    records: list[dict[str, Any]] = field(default_factory=list)

    def copy(self, picture: ReportPicture) -> Copy:
        if picture.path is None or picture.error:
            return Copy(error=picture.error or "no picture")
        return self.copies[picture.path]

    def record(self, picture: ReportPicture) -> int:
        copy = self.copy(picture)
        made = _for_script(plain(picture.provenance))
        self.records.append({"label": picture.label, "file": copy.full, "error": copy.error, "made": made})
        return len(self.records) - 1


def write_report(folder: Path, content: ReportContent) -> Path:
    """Write the report into `folder` and return its page, `index.html`.

    The folder holds all it shows: small copies of the pictures, the grids' sheets and viewers, and `report.json` with
    every number and every provenance for programs. No file outside it and no network is needed to read it. Written
    again, only what changed is encoded anew. A picture that cannot be read is shown as such. Raises `StorageError`, and
    `WorkspaceError` for a grid folder that holds no grid.
    """
    sources = {
        (version.name, grid.folder): manifests.read(grid.folder)
        for version in content.versions
        for grid in version.grids
    }
    named = [picture.path for picture in all_pictures(content) if picture.path is not None and not picture.error]
    in_grids = [at / entry.picture for (_, at), grid in sources.items() for entry in grid.cells if entry.picture]
    copies = copy_pictures([*named, *in_grids], folder, full_side(len({*named, *in_grids})))
    grids: dict[str, list[ShownGrid]] = {}
    for version in content.versions:
        for section in version.grids:
            shown = _grid(folder, version, section, sources[version.name, section.folder], copies)
            grids.setdefault(version.name, []).append(shown)
    pictures = _Pictures(copies)
    page = _page(content, pictures, grids)
    write_json(folder / DATA_NAME, _data(content, pictures))
    path = write_text(folder / PAGE_NAME, page)
    sheet_copies = [copy for shown in grids.values() for grid in shown for _, copy in grid.sheets]
    remove_unused(folder, [name for copy in [*copies.values(), *sheet_copies] for name in (copy.full, copy.thumb)])
    return path


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: dataclasses as objects, paths by their name only (a report is sent away), NaN as
    null.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _name_only(plain(inner)) if _is_place(key) else plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _is_place(key: object) -> bool:
    return str(key) in {"path", "folder"} or str(key).endswith(("_path", "_folder"))


def _name_only(value: Any) -> Any:
    # the Windows flavour splits at both kinds of slash
    return PureWindowsPath(value).name if isinstance(value, str) else value


def _for_script(value: Any) -> Any:
    # JavaScript's numbers end at 2^53 and seeds at 2^63.
    if isinstance(value, dict):
        return {key: _for_script(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_for_script(inner) for inner in value]
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def _grid(
    folder: Path, version: VersionSection, section: GridSection, source: Manifest, copies: Mapping[Path, Copy]
) -> ShownGrid:
    place = f"grids/{file_stem(f'{version.name}-{source.name}')}"
    up = "../../"
    entries = []
    for entry in source.cells:
        copy = copies.get(section.folder / entry.picture) if entry.picture else None
        if copy is None or copy.full:
            entries.append(dataclasses.replace(entry, picture=up + copy.full if copy else ""))
        else:
            entries.append(dataclasses.replace(entry, picture="", state="failed", reason=copy.error))
    sheets = [
        (source.words_of(sheet), sheet, copy_sheet(section.folder, source, sheet, folder)) for sheet in source.sheets
    ]
    shown = [dataclasses.replace(sheet, file=up + copy.full) for _, sheet, copy in sheets if copy.full]
    thumbnails = {up + copy.full: up + copy.thumb for copy in copies.values() if copy.full}
    write_viewer(folder / place, dataclasses.replace(source, cells=tuple(entries), sheets=tuple(shown)), thumbnails)
    return ShownGrid(
        title=section.title or source.title,
        summary=source.summary,
        prompt=" / ".join(source.prompts[:3]) + (" / …" if len(source.prompts) > 3 else ""),
        viewer=quote(f"{place}/{VIEWER_NAME}"),
        sheets=tuple((name, copy) for name, _, copy in sheets),
    )


def _page(content: ReportContent, pictures: _Pictures, grids: Mapping[str, Sequence[ShownGrid]]) -> str:
    environment = Environment(
        loader=PackageLoader("orchestrator.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=svg.number, duration=_duration, bytes=_bytes, thousands=lambda value: f"{value:,}"
    )
    scores = content.verdict.cells if content.verdict else ()
    body = environment.get_template("report.html").render(
        content=content,
        copy=pictures.copy,
        record=pictures.record,
        grids=grids,
        charts=charts,
        foretold=foretold,
        ranked=derive.ranked(scores),
        heat_tables=[table for table in charts.heat_tables(scores) if table],
        rounds=derive.round_tables(content.observations, scores),
        metric_tables=charts.metric_tables(content.verdict) if content.verdict else [],
        side_by_side=derive.side_by_side(content.observations, content.verdict.finalists if content.verdict else ()),
        by_cell=charts.by_cell(content.observations),
        style=Markup(look()),
        script=Markup(environment.loader.get_source(environment, "report.js")[0]) if environment.loader else "",
        # filled in below: the numbers are dealt while the page is made
        provenance=Markup("@@provenance@@"),
    )
    records = json.dumps(pictures.records, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return body.replace("@@provenance@@", records)


def _data(content: ReportContent, pictures: _Pictures) -> dict[str, Any]:
    def walk(value: Any) -> Any:
        if isinstance(value, ReportPicture):
            copy = pictures.copy(value)
            return {"label": value.label, "file": copy.full, "error": copy.error, "provenance": plain(value.provenance)}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {entry.name: walk(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
        if isinstance(value, list | tuple):
            return [walk(inner) for inner in value]
        return plain(value)

    return {"format": 1, **walk(content)}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
