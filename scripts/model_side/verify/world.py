"""What may be another where a model is used: each part of the world that a process can change for itself."""

from __future__ import annotations

import locale
import os
import platform
import pwd
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress


def _time_zone() -> None:
    os.environ["TZ"] = "Asia/Kathmandu"  # 5:45 h from UTC, and no summer time
    time.tzset()


def _language() -> None:
    here = os.environ.get("LC_ALL") or os.environ.get("LANG") or "C"
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C", "C.UTF-8"):  # the first two have a decimal comma
        with suppress(locale.Error):
            if name != here:
                locale.setlocale(locale.LC_ALL, name)
                os.environ |= {"LC_ALL": name, "LANG": name}
                return


def _user() -> None:
    os.environ |= {"HOME": tempfile.mkdtemp(), "USER": "someone", "LOGNAME": "someone"}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        os.environ.pop(name, None)
    vars(os)["getlogin"] = lambda: "someone"
    entry_of, home = pwd.getpwuid, os.environ["HOME"]
    vars(pwd)["getpwuid"] = lambda uid: pwd.struct_passwd(("someone", *entry_of(uid)[1:5], home, entry_of(uid)[6]))


def _rights() -> None:
    os.umask(0o077)


def _processors() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    vars(os)["cpu_count"] = lambda: 1
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def _host() -> None:
    name, system = "localhost", os.uname()  # a name that every machine can look up
    vars(os)["uname"] = lambda: os.uname_result((system.sysname, name, *system[2:]))
    vars(socket)["gethostname"] = vars(platform)["node"] = lambda: name


# By the words of a report. The seed of hashes can only be changed where a process starts: see surroundings.py.
WORLD: Mapping[str, Callable[[], None]] = {
    "time zone": _time_zone,
    "language": _language,
    "user": _user,
    "umask": _rights,
    "host name": _host,
    "number of processors": _processors,
}


def enter(parts: Iterable[str]) -> None:
    """Change these parts of the world of this process.

    Parameters
    ----------
    parts : iterable of str
        Keys of `WORLD`.
    """
    for part in parts:
        WORLD[part]()
