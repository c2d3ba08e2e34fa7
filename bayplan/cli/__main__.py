"""The entry of `bayplan`: runs a command and turns every way in which it can end into an exit code.

Imports next to nothing, so that `bayplan --version` answers at once.
"""

from __future__ import annotations

import os
import sys

from bayplan import __version__

#: Exit code of a usage error (docs/cli.md).
EXIT_USAGE = 125
#: Exit code after Ctrl-C: 128 + SIGINT.
EXIT_INTERRUPTED = 130
#: Exit code when the reader of our output went away: 128 + SIGPIPE.
EXIT_PIPE = 141


def main(argv: list[str] | None = None) -> int:
    """Runs one command line (without the program's name) and returns its exit code."""
    args = sys.argv[1:] if argv is None else argv
    if args == ["--version"]:
        print(f"bayplan {__version__}")
        return 0
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Python flushes stdout once more at its end; there is nobody to read that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE


def _run(args: list[str]) -> int:
    import click

    from bayplan.cli.output import print_problems, print_usage_error
    from bayplan.cli.root import root

    try:
        # Not `root.main`, which has its own ideas of exit codes for a broken pipe and Ctrl-C.
        with root.make_context("bayplan", args) as context:
            root.invoke(context)
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        print_usage_error(error)
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except Exception as error:
        # Imported here because it costs as much as all of `--help`.
        from bayplan.errors import ProblemError

        if not isinstance(error, ProblemError):
            raise
        print_problems(error)
        return error.problem.exit_code


if __name__ == "__main__":
    sys.exit(main())
