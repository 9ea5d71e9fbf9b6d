"""What a report takes from a workspace: earlier versions only, stale verdicts said, no interval out of one seed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_worlds import observe_world, spike

from orchestrator.evaluation.records import write_verdict
from orchestrator.evaluation.weighing import judge
from orchestrator.files import write_json
from orchestrator.profile.model import Profile, VerdictPlan
from orchestrator.report import charts, gather_verdict
from orchestrator.report.content import CellScore, Interval, VerdictSection
from orchestrator.report.gather import gather
from orchestrator.report.write import write_report
from orchestrator.training.record import RunRecord, write_record
from orchestrator.workspace import Workspace


@pytest.fixture
def workspace(ugly_path: Path) -> Workspace:
    workspace = Workspace(ugly_path)
    for version in ("v2", "v3", "v4", "v5", "v10"):
        manifest = {"pictures": [], "fingerprint": version, "groups": []}
        write_json(workspace.dataset(version) / "manifest.json", manifest)
    return workspace


def _profile(version: str) -> Profile:
    return Profile.model_validate({"subject": {"name": "miku", "version": version}})


def _keep(workspace: Workspace, version: str, text: str = "") -> None:
    content = text or f'[subject]\nname = "miku"\nversion = "{version}"\n'
    (workspace.root / f"lora.{version}.toml").write_text(content, encoding="utf-8")


def _trained(workspace: Workspace, sha256: str) -> None:
    record = {
        "name": "miku_v4", "status": "finished", "fingerprint": "f", "orchestrator": "0", "computer": "",
        "values": {"output_name": "miku_v4"}, "dataset_config": {}, "dataset": {}, "base": {}, "trainer": {},
        "epochs": 1, "save_every": 1, "seed": 1,
        "files": [{"file": "miku_v4.safetensors", "epoch": 1, "sha256": sha256, "size": 1}],
    }  # fmt: skip
    write_record(workspace.run("miku_v4"), RunRecord.model_validate(record))


def test_only_earlier_versions_are_its_past(workspace: Workspace) -> None:
    for version in ("v2", "v3", "v5", "v10", "v4"):
        _keep(workspace, version)
    assert [v.name for v in gather(_profile("v4"), workspace).versions] == ["v2", "v3", "v4"]
    assert [v.name for v in gather(_profile("v10"), workspace).versions] == ["v2", "v3", "v4", "v5", "v10"]


def test_an_old_profile_that_cannot_be_read_is_left_out_and_said(workspace: Workspace) -> None:
    _keep(workspace, "v2")
    _keep(workspace, "v3", "[subject\n")
    _keep(workspace, "v5", "broken, and of no interest")
    found = gather(_profile("v4"), workspace)
    assert [v.name for v in found.versions] == ["v2", "v4"]
    (said,) = [words for words in found.not_measured if "left out" in words]
    assert said.startswith("The version in lora.v3.toml is left out: not valid TOML")
    assert str(workspace.root) not in said


def test_a_verdict_on_other_lora_files_is_said_to_be_that(workspace: Workspace) -> None:
    verdict = replace(judge(observe_world(spike), VerdictPlan()), lora_files=("aa",))
    write_verdict(workspace, "v4", verdict)
    _trained(workspace, "aa")
    assert not any("other LoRA files" in words for words in gather(_profile("v4"), workspace).not_measured)
    _trained(workspace, "bb")
    assert any("belong to other LoRA files" in words for words in gather(_profile("v4"), workspace).not_measured)


def test_one_seed_has_no_interval_in_chart_table_and_json(workspace: Workspace) -> None:
    write_verdict(workspace, "v4", judge(observe_world(spike, seeds=1), VerdictPlan()))
    content = gather(_profile("v4"), workspace)
    assert content.verdict is not None
    page = write_report(workspace.report("v4"), content)
    text = page.read_text(encoding="utf-8")
    assert "(chance unknown)" in text
    assert 'class="interval"' not in text
    assert 'class="cross"' not in text
    assert "With one seed there are no intervals" in text
    data = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    utility = data["verdict"]["cells"][0]["utility"]
    assert (utility["low"], utility["high"]) == (None, None)
    assert isinstance(utility["mean"], float)


def test_a_known_interval_is_drawn(workspace: Workspace) -> None:
    verdict = gather_verdict.section(judge(observe_world(spike), VerdictPlan()), {})
    assert str(charts.utility(verdict)).count('class="interval"') == len(charts.derive.ranked(verdict.cells)[:24])
    lone = VerdictSection("x", cells=(CellScore(1, 0.5, Interval(0.5, None, None)),))
    assert 'class="interval"' not in str(charts.utility(lone))
