"""What uv's words mean, and what to do: the network, the index, the request or the machine's Python is at fault."""

from __future__ import annotations

import re
from typing import NamedTuple

from model_side.base.errors import ReportedError, StepError, UsageError
from model_side.base.redact import redact


class _Cause(NamedTuple):
    """What some words of uv mean.

    Parameters
    ----------
    words : str
        A pattern, of which the first group that matches is `{what}`. It holds spaces, which no name of a package does:
        networkx is not a fault of the network.
    kind : type
        StepError where the same request may succeed another time.
    fault, advice : str
    """

    words: str
    kind: type[ReportedError]
    fault: str
    advice: str


_NETWORK = "error sending request|Failed to fetch|Failed to download|dns error|operation timed out|connection refused"
_PYTHON = (
    r"No interpreter found for (Python \S+)|Failed to download `\S*(cpython-[\d.]+)"
    r"|Querying Python at `\S*?(python[\d.]+)` failed"
)
_ABSENT = (
    r"Because (?:there is no version of (\S+)|(\S+) was not found in the [a-z ]+"
    r"|only (?:\S+ is|the following versions of \S+ are) available(?:: [\w.=<>!| -]+)?)"
    r" and (?:you require|(?:all versions of )?\S+ depends? on) (\S+?)(?:,? |$)"
)
# The first that fits.
_CAUSES = (
    _Cause(
        _PYTHON,
        StepError,
        "{what} is not installed, and uv could not get it",
        "Install it where there is a network, or ask for another version.",
    ),
    _Cause(
        "the network was disabled",
        StepError,
        "uv is offline, and its cache lacks a package",
        "Unset UV_OFFLINE, or run it once with a network.",
    ),
    _Cause(
        "(40[13] (?:Unauthorized|Forbidden))",
        UsageError,
        "an index refuses access: {what}",
        "Give its credentials, in .netrc or by `uv auth login`, or correct its address.",
    ),
    _Cause(
        r"[Bb]uilding source distributions [^.]*is disabled|no usable wheels|[Bb]uilding from source is disabled",
        UsageError,
        "a package has no wheel, and to build one runs its code",
        "Ask its author for a version with a wheel. `check --allow-builds` lets it build.",
    ),
    _Cause(
        _ABSENT,
        UsageError,
        "no index or directory that uv knows has {what}",
        "Correct its name or version; or name the index or directory that has it, by UV_INDEX or UV_FIND_LINKS.",
    ),
    _Cause(
        r"HTTP status client error \((4(?!08|29)\d\d [^)]+)",
        UsageError,
        "an address does not exist: {what}",
        "uv's explanation is above: correct the address.",
    ),
    _Cause(
        f"(?i:{_NETWORK})|HTTP status",
        StepError,
        "uv could not reach the package index: a network fault",
        "See uv's words above.",
    ),
    _Cause("", UsageError, "uv refused it", "uv's explanation is above: fix what it names."),
)


def fault_of(subject: str, said: str, missing: str = "") -> ReportedError:
    """Return the error for what uv said before it failed.

    Parameters
    ----------
    subject : str
        The file that it is about.
    said : str
    missing : str
        The version of Python that the request is for, if it is not installed: it is named before the network.
    """
    words = " ".join(said.split())
    matches = ((cause, re.search(cause.words, words)) for cause in _CAUSES)
    cause, match = next((cause, match) for cause, match in matches if match)
    what = redact(next(filter(None, match.groups()), ""))
    fault, advice = cause.fault.format(what=what), cause.advice
    if missing and cause.kind is StepError:
        own = "uv could not get it" if cause.words == _PYTHON else fault
        fault = f"Python {missing} is not installed, and {own}"
        advice = f"Install it by `uv python install {missing}` where there is a network, or ask for another version."
    return cause.kind(subject, fault, advice=advice)
