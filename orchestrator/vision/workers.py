"""The processes that measure pictures, started for one call and ended with it, or kept for several (`kept`)."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO

from orchestrator.vision.model import NOT_MEASURED, Measurement

#: A worker takes about 0.2 GB with mediapipe and dlib loaded; the pool stays below 0.8 GB.
MOST_WORKERS = 4
#: Below this many pictures per worker, starting another one (0.5 s) costs more than it brings.
_WORTH_A_WORKER = 4
# sys.path is handed over first: the child must find the same packages, and nothing of the current folder before them.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from orchestrator.vision.worker import main; main()"


class WorkerDied(Exception):
    """The process ended while it measured; the text is the last line it wrote."""


class Worker:
    """One measuring process. Not thread-safe: one caller at a time."""

    def __init__(self) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def measure(self, path: Path) -> Measurement:
        """Measure one file. Raises `WorkerDied`; the next call starts a new process."""
        if self._stopped:
            raise WorkerDied("stopped")
        try:
            process = self._process or self._start()
            if process.stdin is None or process.stdout is None:
                raise WorkerDied("no pipe to the measuring process")
            process.stdin.write(json.dumps(str(path)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError as error:
            self._end()
            raise WorkerDied(str(error)) from error
        if not answer:
            said = self._last_words()
            self._end()
            raise WorkerDied(said)
        return Measurement.from_dict(json.loads(answer))

    def stop(self) -> None:
        """End the process from another thread; a `measure` under way raises `WorkerDied`."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Give back what the worker holds, once nobody uses it any more."""
        self._end()
        self._errors.close()

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="ascii",
            # Variables that native libraries read before any code of ours runs. A process measures on one core: threads
            # of numpy's would only wait for each other there.
            env=os.environ | {"GLOG_minloglevel": "3", "TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            raise OSError(self._last_words() or "the measuring process did not start")
        return self._process

    def _last_words(self) -> str:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", errors="replace").strip().splitlines()
        code = "" if self._process is None else f"exit code {self._process.poll()}"
        return " · ".join(part for part in (code, lines[-1] if lines else "") if part)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Shelf:
    """Idle workers between two calls, while somebody wants them kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._wanted = 0

    def take(self) -> Worker:
        with self._lock:
            return self._idle.pop() if self._idle else Worker()

    def give_back(self, worker: Worker) -> None:
        with self._lock:
            if self._wanted:
                self._idle.append(worker)
                return
        worker.close()

    def open(self) -> None:
        with self._lock:
            self._wanted += 1

    def close(self) -> None:
        with self._lock:
            self._wanted -= 1
            gone, self._idle = ([], self._idle) if self._wanted else (self._idle, [])
        for worker in gone:
            worker.close()


_shelf = _Shelf()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Calls within this block use the same processes, which end with it. Starting one costs as much as measuring five
    pictures, keeping one 0.2 GB. Blocks may lie in each other, and in several threads.
    """
    _shelf.open()
    try:
        yield
    finally:
        _shelf.close()


def measured(paths: Sequence[Path], workers: int | None = None) -> Generator[tuple[int, Measurement], None, None]:
    """Each path's index and measurement, as they become ready.

    A picture on which the process dies twice is said to be not measured.
    """
    count = workers or min(os.cpu_count() or 1, MOST_WORKERS)
    count = max(1, min(count, -(-len(paths) // _WORTH_A_WORKER)))
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    pool = [_shelf.take() for _ in range(count)]
    for worker in pool:
        idle.put(worker)

    def run(path: Path) -> Measurement:
        worker = idle.get()
        try:
            return worker.measure(path)
        except WorkerDied:
            # Once more in a new process: the first may have been ended from outside, or by the picture before.
            return worker.measure(path)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(count, thread_name_prefix="measure")
    futures: dict[Future[Measurement], int] = {}
    try:
        futures = {threads.submit(run, path): index for index, path in enumerate(paths)}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except WorkerDied as died:
                yield futures[future], _not_measured(paths[futures[future]], str(died))
    finally:
        finished = bool(futures) and all(future.done() for future in futures)
        for future in futures:
            future.cancel()
        for worker in pool if not finished else ():
            worker.stop()
        threads.shutdown(wait=True)
        for worker in pool:
            if finished:
                _shelf.give_back(worker)
            else:
                worker.close()


def _not_measured(path: Path, why: str) -> Measurement:
    from orchestrator.vision.one_picture import Instruments, measure_picture

    return measure_picture(
        path, Instruments(missing=f"{NOT_MEASURED} the measuring process ended on this picture ({why})")
    )
