"""What can be chosen about one simulated server. All times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import faults
from .dialects import Name


@dataclass(frozen=True)
class Settings:
    """How fast the simulated graphics card is, and which of the real server's switches are on.

    The queue is held for one picture as long as max(configured time, time the painter itself needs), so the server's
    limit is `1 / (gpu_seconds_per_picture + gpu_seconds_per_step * steps)` pictures per second; a batch costs its
    number of pictures.
    """

    dialect: Name = "a1111"
    """Which program it plays: A1111 1.10.1 or one of its forks."""
    painter: Literal["portrait", "plain"] = "portrait"
    """`plain` costs a few milliseconds at most, for measuring clients: photo-like and different for every request, but
    nothing that is asked for can be seen in it."""
    gpu_seconds_per_step: float = 0.0
    gpu_seconds_per_picture: float = 0.0
    lora_switch_seconds: float = 0.0
    """Extra time when other LoRA files are asked for than in the request before (the real server: about 0.13 s
    on a small model)."""
    lora_weight_seconds: float = 0.0
    """Extra time when the files stay and only a weight changes (the real server: about 0.07 s)."""
    checkpoint_load_seconds: float = 0.0
    size_cap: int = 2048
    """Largest side in pixels; above it the answer is the 500 OutOfMemoryError of a full graphics card."""
    api_auth: str | None = None
    """`user:password[,user2:password2]`, as --api-auth takes it."""
    tagger: Literal["flat", "nested", "none"] = "flat"
    """Shape of the WD14 tagger extension's answer; `none` means the extension is not installed (404)."""
    keep_alive_seconds: float = 5.0
    """Idle connections are closed after this time; 5 s is what the real server does with its web page on."""
    webui: bool = True
    """False serves no /internal routes, as --nowebui does."""
    vram_gb: float | None = None
    """Size of the simulated graphics memory in GET /memory; None reports it unavailable, as a CPU-only server does."""

    keeps_memory: bool = False
    """unload-checkpoint answers and frees nothing, as was reported of Forge."""

    faults: str = ""
    """`KIND[=SHARE][xTIMES],…`, see `faults.KINDS`: the share of drawing requests (0 … 1, default 1) each strikes."""
    fault_seed: int = 0
    """Which requests the faults strike; the same seed strikes the same payloads, in whatever order they come."""
    slow_seconds: float = 2.0
    """How late the answer of a `slow` request is sent."""
    restart_seconds: float = 1.0
    """How long the port is refused during a restart."""
    startup_seconds: float = 0.0
    """How long the port is open before the API is there (without the web page: how long until the port opens). A
    request in that time ends A1111 and classic, leaves reForge without its API for ever, and does nothing to Forge."""
    server_stop: bool = False
    """Serve /sdapi/v1/server-stop, -restart and -kill, as --api-server-stop does."""
    restartable: bool = True
    """Started by a script that starts it anew; otherwise server-restart answers 501."""
    leak_mb: float = 0.0
    """Memory lost with every drawing job, until a restart."""

    def __post_init__(self) -> None:
        """Raises ValueError for faults that do not exist."""
        faults.parse(self.faults)

    def gpu_seconds(self, steps: int, pictures: int) -> float:
        """Time the graphics card is busy with one batch."""
        return (self.gpu_seconds_per_picture + self.gpu_seconds_per_step * max(steps, 0)) * pictures
