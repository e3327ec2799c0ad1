"""Run a command in this process's own group, and end the whole group when standard input closes.

Whoever started it holds the other end: it closes when that process is killed, too. Standard library only.
"""

import os
import signal
import subprocess
import sys
import threading


def hold() -> None:
    """Wait until the other end is closed, then end the group."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=hold, daemon=True).start()
    raise SystemExit(command.wait() & 0xFF)
