"""The command line: verbs, each lazily imported, with errors of one to three lines and the contract's exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
import traceback
import warnings
from typing import Any, NoReturn

import typer

from reproflow.cli import audit, baseline, check, child_imports, cleaning, common, queries, stages
from reproflow.foundation import child_process, code_limits
from reproflow.foundation.errors import ReproflowError, UsageError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Executed evidence for statements about flow-matching and diffusion losses.",
)
app.command("list")(queries.list_)
for verb in (queries.verify, queries.why, queries.doctor, cleaning.clean):
    app.command()(verb)
app.command()(audit.audit)
for stage in stages.VERBS:
    app.command()(common.stoppable(stage))
app.add_typer(check.app, name="check")
app.add_typer(baseline.app, name="baseline")


# A disk that is full, or that this user may not write: not a fault of ours, and no traceback.
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}

# Typer carries its own copy of click, older versions use the library: the base of its public error is right in both.
CommandLineError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits with the contract's code."""
    _degrade()
    # Before numpy and torch are imported: results depend on the number of threads, so it is one. Jobs run side by side.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    # torchvision's, not ours, and it would stand in every log.
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # a hundred lines a PDF
    given = sys.argv[1:] if arguments is None else arguments
    if child_process.inside():
        _leave(given)
    sys.exit(run(given))


def _degrade() -> None:
    """A letter that the terminal cannot show is written as its escape: no answer is lost to it, nor its exit code.

    Files are UTF-8 whatever the terminal is.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave(arguments: list[str]) -> NoReturn:
    """Runs in a child, and leaves at once: a thread that user code has left would keep it, and its exit hooks, too."""
    code = 1
    child_process.end_with_parent()
    try:
        child_imports.import_ahead(arguments)
        child_process.begin()
        code = run(arguments)
        child_process.finished()
    except MemoryError as error:
        print(f"reproflow: out of memory.{code_limits.cure(error)}", file=sys.stderr)
        code = UsageError.exit_code
        child_process.finished()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of these arguments; errors are said on standard error."""
    try:
        code = app(arguments, standalone_mode=False, prog_name="reproflow") or 0
        sys.stdout.flush()
        return code
    except ReproflowError as error:
        cure = code_limits.cure(error) if child_process.inside() else ""
        print(f"reproflow: {error}{cure}", file=sys.stderr)
        return error.exit_code
    except CommandLineError as error:
        return _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        # The log may lie on the same disk, with no room for this line.
        with contextlib.suppress(OSError):
            where = error.filename or "output"
            print(
                f"reproflow: {where}: {error.strerror} (errno {error.errno}); what is saved is kept.", file=sys.stderr
            )
        return 1


def _usage(error: Any) -> int:
    """A wrong command line: what is wrong and where the example stands; without any words, the help itself."""
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help())
    else:
        command = context.command_path if context else "reproflow"
        print(f"reproflow: {error.format_message()}\nSee '{command} --help' for an example.", file=sys.stderr)
    return 2
