"""The command line: options → one function of the pipeline → an answer.

Commands are imported when they are called, so that `orchestrator --help` needs click alone.
"""

from __future__ import annotations

import importlib

import click

from orchestrator import __version__

#: Command → (module, one line of help). In the order of the work.
COMMANDS = {
    "demo": ("demo", "Play the whole story on a simulated A1111 and kohya: needs no graphics card."),
    "doctor": ("doctor", "Look whether A1111, kohya and everything else a night depends on is there."),
    "init": ("init", "Make a workspace: a folder with lora.toml."),
    "run": ("run", "Do everything in the profile that is not done yet."),
    "pictures": ("pictures", "Make, vary, ramp, pick and straighten pictures."),
    "dataset": ("dataset", "Check the dataset before training, and build it."),
    "train": ("train", "Train this version with kohya's sd-scripts."),
    "runs": ("runs", "List, show, compare, resume, stop and rebuild training runs."),
    "lora": ("lora", "List, show, deploy and publish LoRA files."),
    "grid": ("grid", "Draw comparison grids: epoch × weight, or any other axes."),
    "scout": ("scout", "Find the seeds that obey the poses, without LoRA."),
    "evaluate": ("evaluate", "Draw and measure the rounds, and say which LoRA is best."),
    "queue": ("queue", "Let trainings and grids run overnight, one after the other, on one card."),
    "vote": ("vote", "Vote blind between the finalists, in the browser."),
    "publish": ("publish", "Put the winner under a clean name, with a model card."),
    "report": ("report", "Write the HTML report."),
    "sandbox": ("sandbox", "Start the simulated A1111 to try things against."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orchestrator.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click's own would import every command for its first sentence.
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="orchestrator")
def cli() -> None:
    """Drives your AUTOMATIC1111 and kohya_ss through the whole making of a LoRA, and says which epoch and weight is
    best.

    \b
    First time?   orchestrator demo
    Your own:     orchestrator init NAME, edit NAME/lora.toml, cd NAME, orchestrator run

    Exit codes: 0 done, 2 wrong command line, 3 bad input, 4 something is missing or does not answer, 5 A1111 or kohya
    failed, 6 A1111 drew something else than asked, 7 disk, 130 Ctrl-C, 1 a defect of ours.
    """
