"""How long `orchestrator --help` and `import orchestrator` take, beside a Python that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
LIMIT_MS = {"orchestrator --help": 150, "import orchestrator": 100}
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import orchestrator": [sys.executable, "-c", "import orchestrator"],
    "orchestrator --help": [sys.executable, "-m", "orchestrator", "--help"],
}
HEAVY = ("numpy", "mediapipe", "starlette", "PIL", "httpx", "pydantic", "rich")


def median_ms(command: list[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def main() -> None:
    empty = median_ms(COMMANDS["python -c pass"])
    print(f"{'python -c pass':22} {empty:6.0f} ms")
    for name, limit in LIMIT_MS.items():
        took = median_ms(COMMANDS[name])
        print(
            f"{name:22} {took:6.0f} ms   limit {limit} ms   {took / limit:.2f} of it   "
            f"{took / empty:.1f} × an empty Python"
        )
    code = f"import sys, orchestrator.__main__, orchestrator.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"heavy modules on the path of --help: {heavy}")


if __name__ == "__main__":
    main()
