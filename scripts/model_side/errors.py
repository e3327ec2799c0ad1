"""Errors of the model side: facts as fields, text by ``str``, one handler for every command line."""

from __future__ import annotations

import sys
from collections.abc import Callable


class ModelSideError(Exception):
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
    author_traceback : str, optional
        Traceback through the author's own code, shown above the message.
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
        author_traceback: str = "",
    ) -> None:
        super().__init__(subject, fault)
        self.subject, self.fault = subject, fault
        self.expected, self.got = expected, got
        self.advice, self.author_traceback = advice, author_traceback

    def __str__(self) -> str:
        facts = [f"expected {self.expected}"] if self.expected is not None else []
        facts += [f"got {self.got}"] if self.got is not None else []
        head = f"{self.subject}: {self.fault}" + (f": {', '.join(facts)}" if facts else "")
        return f"{head}{self.advice}" if head.endswith("\n") else f"{head.removesuffix('.')}. {self.advice}".rstrip()


class StepError(ModelSideError):
    """The work itself failed: a forward pass, a check, a save."""


class UsageError(ModelSideError):
    """The request cannot be met as put: a flag, a path, a spec, a payload."""

    exit_code = 2


def run_main(main: Callable[[], int]) -> int:
    """Run a command line and turn its errors into text on stderr and an exit code."""
    try:
        return main()
    except ModelSideError as error:
        if error.author_traceback:
            print(error.author_traceback.rstrip(), file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        reason = error.strerror or str(error)
        print(f"error: {error.filename or 'file system'}: {reason}. Mend it and try again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
