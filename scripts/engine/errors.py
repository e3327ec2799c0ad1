"""The engine's own errors, since it imports nothing of the rest: facts as fields, text by ``str``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class PipelineError(Exception):
    """A fault that a person can fix.

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
    found: Mapping[str, Any] = MappingProxyType({})  # what a failed command has for a program
    said = ""  # the end of its log

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
    """The work itself failed."""


class UsageError(PipelineError):
    """The request is invalid: a step, a path, a configuration."""

    exit_code = 2
