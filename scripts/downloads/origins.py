"""What a transfer reads from: one remote file that can be opened at any offset; and the faults that it may meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from model_side.base.errors import StepError


@dataclass(frozen=True)
class Opened:
    """An answer to a request for the bytes of a file.

    Parameters
    ----------
    start : int
        Offset of the first byte of `chunks`: what was asked for, or 0 where the whole file comes.
    total : int or None
        Size of the whole file in bytes, where known.
    validator : str
        What changes when the content does: an ETag, a time, a version; empty where there is none.
    in_ranges : bool
        Whether parts of the file can be asked for.
    chunks : iterator of bytes
    close : callable
        For the thread that reads.
    interrupt : callable
        For another thread: whoever waits for the next chunk no longer does.
    """

    start: int
    total: int | None
    validator: str
    in_ranges: bool
    chunks: Iterator[bytes]
    close: Callable[[], object]
    interrupt: Callable[[], object] = lambda: None


class Origin(Protocol):
    """One remote file."""

    @property
    def shown(self) -> str:
        """Return its address, without credentials."""

    @property
    def key(self) -> str:
        """Return what tells it from other files; never shown, only digested."""

    def open(self, start: int, end: int | None, validator: str) -> Opened:
        """Ask for the bytes from `start` to before `end`, of the content that `validator` stands for.

        Raises
        ------
        CutError
            If a later attempt may succeed.
        StepError
            If none will.
        """


@dataclass(frozen=True)
class Member:
    """One file of a remote directory.

    Parameters
    ----------
    name : str
        Relative to the directory.
    origin : Origin
    size : int or None
        Bytes.
    mark : str
        What changes when the content does, as the listing says it.
    """

    name: str
    origin: Origin
    size: int | None
    mark: str = ""


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
            subject, f"network: {fault}", advice="What has arrived is kept: run it again to go on from there."
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
