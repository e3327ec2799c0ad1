"""Download the data of a package, and die by SIGKILL before the n-th event; test_kills.py runs it as a process.

python killed.py PACKAGE CACHE EVENTS
"""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

# Before each of these, being killed could leave something different behind.
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.chmod", "os.utime")
MORE = ("shutil.rmtree", "shutil.copyfile", "subprocess.Popen", "socket.connect")


def main() -> int:
    package, cache, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    from downloads.bring import Settings
    from downloads.http import session as connections
    from downloads.progress import Progress
    from downloads.session import run
    from downloads.transfer import Tuning

    connections()

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in EVENTS or event in MORE:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(cache, tuning=Tuning(attempts=3, first_wait=0.001, longest_wait=0.002, block=1 << 20))
    sys.addaudithook(count)
    outcomes = run(package, settings, Progress(io.StringIO()))
    return int(any(outcome.error for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
