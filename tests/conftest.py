"""What holds for all tests."""

from __future__ import annotations

import signal

# Where a shell starts the tests in its background, SIGINT is ignored, and would be by all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
