"""How long and how often something is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """All times are seconds.

    A request that fails or is not proven is tried `tries` times in all, after a pause that doubles from `pause_s`. One
    whose answer is lost (server restarted, connection cut) is sent again up to `lost` times. A server that went away is
    waited for `away_s`; it is looked for by opening its port every `look_s`, and asked nothing for `settle_s` after it
    opened: a request in that window can end A1111 while it starts (observed).
    """

    tries: int = 3
    lost: int = 4
    pause_s: float = 0.5
    away_s: float = 600.0
    look_s: float = 2.0
    settle_s: float = 5.0
    #: reForge may answer 404 for ever after a request in the wrong moment of its start; its longest start took 44 s.
    starting_s: float = 180.0

    def pause(self, failures: int) -> float:
        """The pause after that many failures, spread so that several clients do not come back in step."""
        return float(min(self.pause_s * 2 ** (failures - 1), 30.0) * random.uniform(0.5, 1.5))
