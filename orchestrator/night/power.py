"""Sleep or shut down when the queue is done, after a time in which it can be called off."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal

from orchestrator.jobs.store import Store

Then = Literal["nothing", "sleep", "shutdown"]
#: In this time `orchestrator queue stay-awake` calls it off.
NOTICE_S = 120.0
CALLED_OFF = "stay awake"
_LOOK_S = 0.5


def words(then: Then, platform: str = sys.platform) -> list[str]:
    """The command that does it; empty for nothing."""
    if then == "nothing":
        return []
    if platform == "win32":
        # Without hibernation switched off, this hibernates: the state of the programs is kept either way.
        return (
            ["rundll32.exe", "powrprof.dll,SetSuspendState", "0,1,0"]
            if then == "sleep"
            else ["shutdown", "/s", "/t", "0"]
        )
    if platform == "darwin":
        return (
            ["pmset", "sleepnow"] if then == "sleep" else ["osascript", "-e", 'tell app "System Events" to shut down']
        )
    return ["systemctl", "suspend"] if then == "sleep" else ["systemctl", "poweroff"]


def wind_down(
    then: Then,
    store: Store,
    say: Callable[[str], object],
    *,
    notice_s: float = NOTICE_S,
    run: Callable[[Sequence[str]], object] | None = None,
    platform: str = sys.platform,
) -> bool:
    """Do it after `notice_s` seconds, unless it is called off or a job is added meanwhile; whether it was done."""
    command = words(then, platform)
    if not command:
        return False
    store.set_fact(CALLED_OFF, "")
    what = "goes to sleep" if then == "sleep" else "is shut down"
    say(f"The queue is done: this machine {what} in {notice_s:.0f} s. `orchestrator queue stay-awake` calls it off.")
    before = {job.id for job in store.open_jobs()}
    deadline = time.monotonic() + notice_s
    while time.monotonic() < deadline:
        if store.fact(CALLED_OFF):
            say("It was called off: the machine stays on.")
            return False
        if {job.id for job in store.open_jobs()} - before:
            say("There is a new job: the machine stays on.")
            return False
        time.sleep(min(_LOOK_S, notice_s))
    try:
        (run or _run)(command)
    except OSError as error:
        say(f"{command[0]} could not be run ({error.strerror or error}): the machine stays on.")
        return False
    return True


def _run(command: Sequence[str]) -> None:
    subprocess.run(list(command), check=False, stdin=subprocess.DEVNULL)
