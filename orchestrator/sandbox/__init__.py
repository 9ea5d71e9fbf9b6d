"""The embedded default: a simulated A1111 server, a simulated trainer and a painter of clearly simulated portraits.

It shares no code with the rest of the package, so one mistake cannot pass on both sides of a test.
Nothing heavy is imported here; import the module you need.
"""

from __future__ import annotations

from pathlib import Path


def trainer_folder() -> Path:
    """The simulated sd-scripts checkout, for whoever is asked where kohya is."""
    return Path(__file__).resolve().parent / "sd_scripts"
