"""Faults that several modules meet: wrong bytes, a file in the way, no network or library; what any may show."""

from __future__ import annotations

from pathlib import Path

from model_side.base.errors import ReportedError, StepError, UsageError
from model_side.base.redact import redact

from .declaration import Source

# The extras of pyproject.toml.
_EXTRAS = {"gcsfs": "gcs", "s3fs": "s3", "zstandard": "zstd"}


class WrongBytesError(StepError):
    """Bytes are not the declared ones, and were kept aside.

    Parameters
    ----------
    source : Source
    got : str
        Their digest.
    bad : Path
        What they are kept as, one for each path of the source.
    """

    def __init__(self, source: Source, got: str, *bad: Path) -> None:
        kept = ", ".join(path.name for path in bad)
        advice = f"It was not installed and is kept as {kept}. If the new content is right, correct the sha256."
        super().__init__(source.name, f"wrong sha256 of {source.shown}", expected=source.sha256, got=got, advice=advice)
        self.bad = bad


def missing(*sources: Source) -> StepError:
    """Return the error for sources that only a network, or a command, could bring."""
    return StepError(
        ", ".join(source.name for source in sources),
        "missing, and --offline",
        got="neither in model_data/ nor in the cache",
        advice="Run it once with a network.",
    )


def not_installed(subject: str, what: str, library: str, words: str = "") -> UsageError:
    """Return the error for a library that `what` needs; `words` are those of who looked for it."""
    by_hand = "Install it with `uv pip install` in the activated tool environment; `make setup` keeps it."
    setup = f"Run `make setup EXTRA={_EXTRAS[library]}` in the tool's repository." if library in _EXTRAS else by_hand
    got = None if library in _EXTRAS else words or None
    return UsageError(subject, f"{what} needs {library}, which is not installed", got=got, advice=setup)


def foreign(target: Path, expected: str | None = None, got: str | None = None) -> StepError:
    """Return the error for a file of the author's where a source's file should be."""
    return StepError(
        str(target),
        "a file that came from no source is in the place of one",
        expected=expected,
        got=got,
        advice="Move it away, or give the source another path; an author's file is never replaced.",
    )


def redacted(error: ReportedError) -> ReportedError:
    """Return the error with the credentials taken out of all that it says."""
    error.subject, error.fault, error.advice = redact(error.subject), redact(error.fault), redact(error.advice)
    error.expected, error.got = (fact and redact(fact) for fact in (error.expected, error.got))
    return error
