"""Namespaces of the Linux kernel: a process's own view of files and networks. Standard library only.

No privilege is needed for them where those of users are allowed.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

NEW_USER, NEW_NETWORK, NEW_FILES = 0x10000000, 0x40000000, 0x00020000  # linux/sched.h
_READ_ONLY, _KEPT_FLAGS = 1, 2 | 4 | 8  # linux/mount.h: nosuid, nodev and noexec, which must stay as they are
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE, _DETACH = 0x20, 0x1000, 0x4000, 0x40000, 2


def leave(namespaces: int) -> None:
    """Move this process to namespaces of its own; what is mounted in one of files stays there.

    Parameters
    ----------
    namespaces : int
        `NEW_NETWORK`, `NEW_FILES` or both. With `NEW_USER`, the process has no privilege outside them, as root neither;
        and what was mounted before, it cannot unmount or make writable.

    Raises
    ------
    OSError
        If the system does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", namespaces)
    except PermissionError:
        if namespaces & NEW_USER:
            raise
        namespaces |= NEW_USER  # without privilege: as the same user in a namespace of users
        _call("unshare", namespaces)
    if namespaces & NEW_USER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")
    if namespaces & NEW_FILES:
        _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)


def mount_empty(path: str) -> None:
    """Mount a new directory in memory."""
    _call("mount", b"none", os.fsencode(path), b"tmpfs", 0, None)


def bind(source: str, path: str, *, read_only: bool = False) -> None:
    """Show a file or a directory at another path, which exists, or at its own.

    Raises
    ------
    OSError
        If the system does not allow it.
    """
    place = os.fsencode(path)
    _call("mount", os.fsencode(source), place, None, _BIND | _RECURSIVE, None)
    if read_only:
        flags = os.statvfs(path).f_flag & _KEPT_FLAGS
        _call("mount", b"none", place, None, _REMOUNT | _BIND | _READ_ONLY | flags, None)


def change_root(new: str, old: str) -> None:
    """Make `new` the root directory; what was it is at `old`, inside it."""
    _call("pivot_root", os.fsencode(new), os.fsencode(old))


def unmount(path: str) -> None:
    """Take a mounted directory away."""
    _call("umount2", os.fsencode(path), _DETACH)


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library that returns 0.

    Raises
    ------
    OSError
        If it does not.
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if function is None:
        raise OSError(f"{name}: this system does not have it")
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
