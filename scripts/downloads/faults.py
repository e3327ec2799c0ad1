"""Errors that several modules raise: a cut or changed file, wrong bytes, a file in the way, no network or library."""

from __future__ import annotations

from pathlib import Path

from model_side.base.errors import ReportedError, StepError, UsageError
from model_side.base.redact import redact

from .declaration import Source

# The extras of pyproject.toml.
_EXTRAS = {"gcsfs": "gcs", "s3fs": "s3", "zstandard": "zstd"}


class CutError(StepError):
    """The network failed in a way that may pass.

    Parameters
    ----------
    subject, fault : str
    wait : float
        Seconds that the server asks to wait.
    """

    def __init__(self, subject: str, fault: str, wait: float = 0.0) -> None:
        super().__init__(
            subject,
            f"network: {fault}",
            advice="What has arrived is kept: run it again; it goes on from there where its server can.",
        )
        self.wait = wait


class ChangedError(StepError):
    """The remote content is no longer what the bytes here came from, or cannot be had from the middle."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            subject,
            "it could not be continued: it changes, or its server sends only whole files",
            advice="Try again later.",
        )


def wrong_bytes(source: Source, got: str, *bad: str, fault: str = "") -> StepError:
    """Return the error for bytes that are not the declared ones, and were kept aside as `bad`."""
    fault = fault or f"wrong sha256 of {source.shown}"
    advice = f"It was not installed and is kept as {', '.join(bad)}. If the new content is right, correct the sha256."
    return StepError(source.name, fault, expected=source.sha256, got=got, advice=advice)


def missing(*sources: Source) -> StepError:
    """Return the error for sources that only a network, or a command, could bring."""
    names, got = ", ".join(source.name for source in sources), "neither in model_data/ nor in the cache"
    return StepError(names, "missing, and --offline", got=got, advice="Run it once with a network.")


def not_installed(subject: str, what: str, library: str, words: str = "") -> UsageError:
    """Return the error for a library that `what` needs; `words` are those of who looked for it."""
    by_hand = "Install it with `uv pip install` in the activated tool environment; `make setup` keeps it."
    setup = f"Run `make setup EXTRA={_EXTRAS[library]}` in the tool's repository." if library in _EXTRAS else by_hand
    got = None if library in _EXTRAS else words or None
    return UsageError(subject, f"{what} needs {library}, which is not installed", got=got, advice=setup)


def foreign(target: Path, expected: str | None = None, got: str | None = None) -> StepError:
    """Return the error for a file of the author's where a source's file should be.

    Parameters
    ----------
    target : Path
    expected, got : str, optional
        Digests.

    Returns
    -------
    StepError
    """
    fault = "a file that came from no source is in the place of one"
    advice = "Move it away, or give the source another path; an author's file is never replaced."
    return StepError(str(target), fault, expected=expected, got=got, advice=advice)


def redacted(error: ReportedError) -> ReportedError:
    """Return the error with the credentials taken out of all that it says."""
    error.subject, error.fault, error.advice = redact(error.subject), redact(error.fault), redact(error.advice)
    error.expected, error.got = (fact and redact(fact) for fact in (error.expected, error.got))
    return error
