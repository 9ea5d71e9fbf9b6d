"""The child process that measures: one JSON line in (a path), one JSON line out (a measurement).

A program of its own rather than a pool of forks: it works the same on Windows, keeps the chatter of mediapipe and
TensorFlow out of the console, needs no `if __name__ == "__main__"` in the user's script, and a crash in native code
costs one picture, not the run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Serve until the input ends, which it does when the parent goes away."""
    # Ctrl-C reaches the whole console group; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Native code may write to descriptor 1; the answers get a descriptor of their own, and 1 goes where the errors go.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    from orchestrator.vision.one_picture import measure_picture, open_instruments

    instruments = open_instruments()
    print(json.dumps({"backend": instruments.backend}), file=answers, flush=True)
    for line in sys.stdin:
        measured = measure_picture(Path(json.loads(line)), instruments)
        print(json.dumps(measured.to_dict()), file=answers, flush=True)
