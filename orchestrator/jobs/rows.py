"""Rows of the ledger as values."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict

from orchestrator.jobs.model import Failure, Job, Progress


def job(row: sqlite3.Row) -> Job:
    """A job from a row of the queries `job`, `open`, `over`."""
    failure, result = row["failure"], row["result"]
    estimate = (row["estimate_low"], row["estimate_high"]) if row["estimate_high"] is not None else None
    progress = None
    if row["progress_at"] is not None:
        progress = Progress(row["what"], row["done"], row["total"], row["detail"], row["left_s"], row["progress_at"])
    return Job(
        id=row["id"],
        kind=row["kind"],
        title=row["title"],
        state=row["state"],
        workspace=row["workspace"],
        priority=row["priority"],
        position=row["position"],
        window=row["window"],
        at=row["at"],
        retries=row["retries"],
        failures=row["failures"],
        deaths=row["deaths"],
        death_place=row["death_place"],
        retry_at=row["retry_at"],
        needs=tuple(sorted(map(int, row["needs"].split(",")))) if row["needs"] else (),
        needs_card=bool(row["needs_card"]),
        chain=row["chain"],
        estimate=estimate,
        attempts=row["attempts"],
        added_at=row["added_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        worked_s=row["worked_s"],
        worker=row["worker"],
        asked=row["asked"],
        why=row["why"],
        failure=Failure(**json.loads(failure)) if failure else None,
        result=json.loads(result) if result else {},
        progress=progress,
        interrupted=bool(row["interrupted"]),
    )


def failure_text(failure: Failure | None) -> str | None:
    """A failure as it stands in the ledger."""
    return None if failure is None else json.dumps(asdict(failure), ensure_ascii=False)
