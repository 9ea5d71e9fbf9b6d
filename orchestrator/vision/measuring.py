"""Measuring pictures: each content once, its measurement kept by sha256."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from orchestrator.content_hashes import ContentHashes
from orchestrator.files import read_json, write_json
from orchestrator.vision import backend, model_file, workers
from orchestrator.vision.model import NOT_MEASURED, UNREADABLE, Measurement, VisionStatus
from orchestrator.vision.one_picture import Instruments, measure_picture, unreadable, why_unread

#: Raised whenever the same pixels would be measured differently; older measurements are then made again.
MEASUREMENT_VERSION = 4


def status() -> VisionStatus:
    """What can be measured here. Reads the file system only; loads nothing."""
    kind = backend.installed()
    if kind is None:
        return VisionStatus(False, "", False, f"Faces are not measured here. Add what is missing: {backend.INSTALL}")
    identity = backend.embedding_files() is not None
    advice = "" if identity else f"Persons are not compared here. Add what is missing: {backend.INSTALL}"
    if kind == backend.FACE_LANDMARKER and not model_file.model_path().is_file():
        advice = (
            f"The face model (about 4 MB) is fetched from {model_file.URL} at the first measurement. "
            f"Without a connection, name the file in {model_file.VARIABLE}."
        )
        return VisionStatus(False, kind, False, advice)
    return VisionStatus(True, kind, identity, advice)


def measure(
    paths: Sequence[Path],
    cache: Path,
    *,
    workers: int | None = None,
    on_measured: Callable[[Path, Measurement], None] | None = None,
) -> list[Measurement]:
    """The measurements of picture files, in their order.

    What was measured before is read from `cache`/measurements (one JSON file per content, valid while version and
    programs are the same); the rest is measured by child processes (about 0.5 s to start). `on_measured` is called in
    the caller's thread for every path, in the order they become ready. Without the vision extra, sizes, hashes and
    sharpness are still measured and `missing` says what to install. A file that is no picture is said to be unreadable;
    nothing is raised for it.
    """
    results: dict[Path, Measurement] = {}
    by_content: dict[str, list[Path]] = {}

    def have(path: Path, measured: Measurement) -> None:
        results[path] = measured
        if on_measured is not None:
            on_measured(path, measured)

    kind, knows_persons = backend.installed(), backend.embedding_files() is not None
    with ContentHashes(cache) as hashes:
        for path in dict.fromkeys(paths):
            try:
                digest = hashes.of(path)
            except OSError as error:
                have(path, unreadable("", why_unread(error)))
                continue
            known = _kept(cache, digest, kind, knows_persons=knows_persons)
            if known is not None:
                have(path, known)
            else:
                by_content.setdefault(digest, []).append(path)
    with contextlib.closing(_measure_new(by_content, workers)) as answers:
        for digest, measured in answers:
            # A file that changed meanwhile: its result counts for this call and is kept for the content that was really
            # measured.
            if measured.sha256:
                _keep(cache, measured)
            for path in by_content[digest]:
                have(path, measured)
    return [results[path] for path in paths]


def _measure_new(
    by_content: dict[str, list[Path]], count: int | None
) -> Generator[tuple[str, Measurement], None, None]:
    digests = list(by_content)
    firsts = [by_content[digest][0] for digest in digests]
    if not digests:
        return
    if backend.installed() is None:
        for digest, path in zip(digests, firsts, strict=True):
            yield digest, measure_picture(path, Instruments())
        return
    # Closed at once, not when collected: the child processes must be gone when Ctrl-C leaves this function.
    with contextlib.closing(workers.measured(firsts, count)) as answers:
        for index, measured in answers:
            yield digests[index], measured


def _file(cache: Path, digest: str) -> Path:
    return cache / "measurements" / digest[:2] / f"{digest}.json"


def _kept(cache: Path, digest: str, kind: backend.Kind | None, *, knows_persons: bool) -> Measurement | None:
    """The measurement kept for this content, unless a better one could be made here and now: by the program `kind`,
    and of the person too where `knows_persons`.
    """
    data = read_json(_file(cache, digest))
    if not isinstance(data, dict) or data.get("version") != MEASUREMENT_VERSION:
        return None
    try:
        known = Measurement.from_dict(data["measurement"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if known.sha256 != digest:
        return None
    if kind is None or known.missing.startswith(UNREADABLE):
        return known
    lacks_identity = knows_persons and known.missing.startswith(NOT_MEASURED)
    return known if known.backend == kind and not lacks_identity else None


def _keep(cache: Path, measured: Measurement) -> None:
    # Where nobody looked for a face for want of a program, the picture is measured again as soon as the program is
    # there.
    if measured.looked or not measured.readable:
        value = {"version": MEASUREMENT_VERSION, "measurement": measured.to_dict()}
        write_json(_file(cache, measured.sha256), value, durable=False)
