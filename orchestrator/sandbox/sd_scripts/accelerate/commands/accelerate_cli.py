"""Simulated `accelerate launch`: starts the script it is given as a child and waits for it.

As in accelerate 1.6.0: an own child without a group of its own, so that a launcher killed alone leaves an orphan that
trains on; exit code 1 and a CalledProcessError whatever the child's code was. Several processes are ended together.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence

_SET = "\t`--{}` was set to a value of `{}`"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("Accelerate CLI tool", usage="accelerate <command> [<args>]", allow_abbrev=False)
    commands = parser.add_subparsers(help="accelerate command helpers")
    launch = commands.add_parser("launch", allow_abbrev=False, usage="accelerate launch [<args>] script [<args>]")
    launch.add_argument("--quiet", "-q", action="store_true", help="end with 1 instead of a traceback")
    launch.add_argument("--multi_gpu", action="store_true", help="one process for each card")
    launch.add_argument("--cpu", "--use_cpu", action="store_true", help="train on the processor")
    launch.add_argument("--num_processes", type=int, default=None, help="processes altogether")
    launch.add_argument("--num_machines", type=int, default=None, help="machines altogether")
    launch.add_argument("--num_cpu_threads_per_process", type=int, default=None, help="OMP_NUM_THREADS")
    launch.add_argument("--mixed_precision", choices=["no", "fp16", "bf16", "fp8"], default=None, help="number format")
    launch.add_argument("--dynamo_backend", type=str, default=None, help="compiler")
    launch.add_argument("--dynamo_mode", type=str, default="default", help="how it compiles")
    launch.add_argument("--gpu_ids", type=str, default=None, help="cards, 0,1 or all")
    launch.add_argument("--main_process_port", type=int, default=None, help="port processes talk over")
    launch.add_argument("training_script", help="script to start")
    launch.add_argument("training_script_args", nargs=argparse.REMAINDER, help="its arguments")
    launch.set_defaults(func=launch_command)
    return parser


def launch_command(args: argparse.Namespace) -> None:
    """Start the script and wait. Raises `CalledProcessError` when it fails."""
    if args.multi_gpu and args.num_processes is not None and args.num_processes < 2:
        raise ValueError("You need to use at least 2 processes to use `--multi_gpu`.")
    _warn(args)
    command = [sys.executable, args.training_script, *args.training_script_args]
    environment = {
        **os.environ,
        "ACCELERATE_MIXED_PRECISION": args.mixed_precision or "no",
        "OMP_NUM_THREADS": str(args.num_cpu_threads_per_process or os.environ.get("OMP_NUM_THREADS", "1")),
    }
    if args.gpu_ids and args.gpu_ids != "all":
        environment["CUDA_VISIBLE_DEVICES"] = args.gpu_ids
    count = args.num_processes or 1
    if args.multi_gpu and count > 1:
        _several(command, environment, count)
        return
    child = subprocess.Popen(command, env=environment)
    code = child.wait()
    if code:
        if args.quiet:
            sys.exit(1)
        raise subprocess.CalledProcessError(code, command)


def _warn(args: argparse.Namespace) -> None:
    defaults = {"num_processes": 1, "num_machines": 1, "mixed_precision": "'no'", "dynamo_backend": "'no'"}
    warned = [_SET.format(name, value) for name, value in defaults.items() if getattr(args, name) is None]
    if warned:
        logging.warning(
            "%s\n%s\n%s",
            "The following values were not passed to `accelerate launch` and had defaults used instead:",
            "\n".join(warned),
            "To avoid this warning pass in values for each of the problematic parameters or run `accelerate config`.",
        )


def _several(command: Sequence[str], environment: dict[str, str], count: int) -> None:
    children = [
        subprocess.Popen(
            command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
        )
        for rank in range(count)
    ]
    failed = 0
    while any(child.poll() is None for child in children) and not failed:
        failed = next((child.returncode for child in children if child.poll()), 0)
        time.sleep(0.02)
    failed = failed or next((child.returncode for child in children if child.returncode), 0)
    if not failed:
        return
    for child in children:
        child.terminate()
        child.wait()
    raise subprocess.CalledProcessError(failed, list(command))


def main() -> None:
    """Read the command line and do what it says."""
    logging.basicConfig(format="%(message)s")
    parser = _parser()
    args = parser.parse_args()
    if not hasattr(args, "func"):
        parser.print_help()
        sys.exit(1)
    args.func(args)


if __name__ == "__main__":
    main()
