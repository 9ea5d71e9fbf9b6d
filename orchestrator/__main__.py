"""The one place where errors become sentences and exit codes."""

from __future__ import annotations

import datetime
import os
import re
import sys
import traceback
from pathlib import Path

from orchestrator.errors import OrchestratorError

EXIT_DEFECT = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code (see `orchestrator.errors`)."""
    import click

    from orchestrator.cli import cli

    _survive_any_console()
    try:
        result = cli.main(args=arguments, prog_name="orchestrator", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as help_page:
        help_page.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except (KeyboardInterrupt, click.Abort) as stopped:
        # click raises its Abort from the Ctrl-C that says where the command goes on.
        told = stopped.__cause__ if isinstance(stopped, click.Abort) else stopped
        _say(str(told or "") or "Stopped. Everything made so far is kept; the same command goes on from here.")
        return EXIT_INTERRUPTED
    except OrchestratorError as error:
        _say_error(error)
        return error.exit_code
    except BrokenPipeError:
        # `orchestrator … | head`: the reader has gone. The stream is replaced, else Python complains once more at exit.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (lives until the end)
        return 0
    except OSError as error:
        from orchestrator.files import storage_error

        named = storage_error(error, Path(error.filename or "a file"))
        named.__cause__ = error
        _say_error(named)
        return named.exit_code
    except Exception as error:
        _say(f"Something went wrong that should not: {type(error).__name__}: {error}")
        _say("This is a defect of ours. Nothing already made is lost; the log below is what a bug report needs.")
        _say_log(error)
        return EXIT_DEFECT


def _say_error(error: OrchestratorError) -> None:
    _say(f"Error: {error.what}")
    if error.cause:
        _say(f"  Why:  {error.cause}")
    if error.fix:
        _say(f"  Do:   {error.fix}")
    _say_log(error)


def _say_log(error: BaseException) -> None:
    path = _write_log(error)
    if path:
        _say(f"  Log:  {path}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _survive_any_console() -> None:
    # A Japanese Windows console is cp932 and a redirected one may be ASCII: a sign it does not have must not end the
    # run.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _write_log(error: BaseException) -> Path | None:
    """The traceback in a file, without the password; None where no file can be written (then there is no place to point
    at).
    """
    import platformdirs

    folder = Path(platformdirs.user_log_dir("orchestrator", appauthor=False))
    now = datetime.datetime.now().astimezone()
    path = folder / f"{now:%Y-%m-%d}.log"
    trace = "".join(traceback.format_exception(error))
    text = _without_secrets(f"{now.isoformat(timespec='seconds')} orchestrator {' '.join(sys.argv[1:])}\n{trace}\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        return None
    return path


def _without_secrets(text: str) -> str:
    # ORCHESTRATOR_A1111_PASSWORD, and whatever variables `password_env` names for further servers.
    for name, secret in os.environ.items():
        if secret and ("PASS" in name.upper() or "SECRET" in name.upper()):
            text = text.replace(secret, "***")
    # An address with user and password is refused, but it stands on the command line all the same.
    return re.sub(r"://[^/@\s]+@", "://***@", text)


if __name__ == "__main__":
    sys.exit(main())
