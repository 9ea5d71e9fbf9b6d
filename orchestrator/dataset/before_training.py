"""What the check's verdict means where a training is about to begin."""

from __future__ import annotations

from orchestrator.dataset.model import CheckResult
from orchestrator.errors import DatasetError, Problem


def refuse_untrainable(result: CheckResult, *, built: bool) -> None:
    """Raise `DatasetError` with every blocker and its cure where sd-scripts would stop; do nothing otherwise.

    `built`: the check was one of the built dataset; what it is built from has to be mended then, and built again.
    """
    stops = [finding for finding in result.findings if finding.level == "blocker"]
    if not stops:
        return
    listed = "\n".join(f"  {Problem(finding.group or 'all', finding.what, finding.fix)}" for finding in stops)
    raise DatasetError(
        f"This dataset cannot be trained on, {'1 thing stops' if len(stops) == 1 else f'{len(stops)} things stop'} "
        f"it:\n{listed}",
        fix="Mend what is listed, "
        + ("run `orchestrator dataset build`, " if built else "")
        + "and run the same command again. `orchestrator dataset check --page` shows the pictures.",
    )
