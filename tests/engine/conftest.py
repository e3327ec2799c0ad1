"""Fixtures: the cheap pipeline, fresh and built."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .workshop import Workshop, new_workshop


@pytest.fixture(autouse=True)
def bounded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that waits for ever fail instead."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("this test waits for something that does not come")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(1800 if request.node.get_closest_marker("heavy") else 110)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return the cheap pipeline, with its sources written and nothing built."""
    return new_workshop(tmp_path)


@pytest.fixture
def built(workshop: Workshop) -> Workshop:
    """Return the cheap pipeline, built."""
    assert len(workshop.ran()) == 7
    return workshop
