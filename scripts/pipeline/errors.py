"""Errors of the tool side: facts as fields, text by ``str``, one handler for every command line."""

from __future__ import annotations

import sys
from collections.abc import Callable

INTERRUPTED = 130


class PipelineError(Exception):
    """A fault that a person can mend.

    Parameters
    ----------
    subject : str
        The file, flag or value at fault, as the person knows it.
    fault : str
        What is wrong, without a full stop.
    expected, got : str, optional
        What was wanted and what was found.
    advice : str, optional
        What to do, as a sentence.
    """

    exit_code = 1

    def __init__(
        self,
        subject: str,
        fault: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(subject, fault)
        self.subject, self.fault = subject, fault
        self.expected, self.got = expected, got
        self.advice = advice

    def __str__(self) -> str:
        facts = [f"expected {self.expected}"] if self.expected is not None else []
        facts += [f"got {self.got}"] if self.got is not None else []
        head = f"{self.subject}: {self.fault}" + (f": {', '.join(facts)}" if facts else "")
        return f"{head}. {self.advice}".rstrip()


class StepError(PipelineError):
    """The work itself failed: a step, a download, a check."""


class UsageError(PipelineError):
    """The request cannot be met as put: a flag, a path, a configuration."""

    exit_code = 2


def run_main(main: Callable[[], int]) -> int:
    """Run a command line and turn its errors into text on stderr and an exit code."""
    try:
        return main()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename or 'file system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
