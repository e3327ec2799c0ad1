"""What holds for all tests."""

from __future__ import annotations

import os
import signal

# Where a shell starts the tests in its background, SIGINT is ignored, and would be by all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Bytecode is written, as on a user's machine: what must leave none behind is seen to.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
