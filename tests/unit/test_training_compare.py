"""What two runs differ in, without what only tells where they lie."""

from __future__ import annotations

from pathlib import Path

from orchestrator.training.compare import differences
from tests.unit.training_files import attempt, planned, record


def test_a_run_does_not_differ_from_itself_moved_elsewhere(tmp_path: Path) -> None:
    here = record(planned(tmp_path, values={"output_dir": "/a/lora", "dataset_config": "/a/dataset.toml"}))
    there = record(planned(tmp_path / "x", values={"output_dir": "/b/lora", "dataset_config": "/b/dataset.toml"}))
    there = there.changed(dataset={**there.dataset, "folder": str(tmp_path)}, name="other")
    assert differences(here, here) == []
    assert differences(here, there) == []


def test_what_a_run_was_made_from_comes_before_what_came_out(tmp_path: Path) -> None:
    one, other = planned(tmp_path), planned(tmp_path, values={"unet_lr": 2e-4, "network_args": ["conv_dim=4"]})
    other_data = {"general": {}, "datasets": [{"resolution": 128, "batch_size": 2, "subsets": []}]}
    a = record(one).changed(final_loss=0.1234567, packages={"torch": "2.1"})
    b = record(other, attempt(1), attempt(2, changes={"batch_size": 1}, step_s=1.5)).changed(
        dataset_config=other_data, status="failed", base={"path": "C:\\models\\other.safetensors", "sha256": "c" * 64}
    )
    assert differences(a, b) == [
        ("unet_lr", "0.0001", "0.0002"),
        ("dataset.toml datasets.1.resolution", "64", "128"),
        ("dataset.toml datasets.1.batch_size", "1", "2"),
        ("base", f"base.safetensors ({'b' * 12})", f"other.safetensors ({'c' * 12})"),
        ("package torch", "2.1", "-"),
        ("network_args", "-", '["conv_dim=4"]'),
        ("changed batch_size", "-", "1"),
        ("status", "running", "failed"),
        ("final loss", "0.1235", "-"),
        ("starts", "1", "2"),
        ("seconds a step", "-", "1.5"),
    ]


def test_an_old_record_that_lacks_what_came_later_can_be_compared(tmp_path: Path) -> None:
    a = record(planned(tmp_path))
    bare = a.changed(values={}, dataset_config={}, dataset={}, base={}, trainer={}, attempts=())
    found = dict((key, (left, right)) for key, left, right in differences(bare, a))  # noqa: C402
    assert found["base"] == ("-", f"base.safetensors ({'b' * 12})") and found["seed"] == ("-", "42")
