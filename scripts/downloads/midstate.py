"""A sha256 that can be put away in the middle of a file and taken up by a later process.

hashlib gives no state away. OpenSSL's own functions, which are as fast, keep it in a plain structure: eight words of
state, then the number of bits so far. Between two blocks of 64 bytes these words are the standard's own hash value H,
whatever the version of the library. Each library is tried out before it is trusted; where there is none, nothing can be
put away, and a later process reads the bytes again.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from functools import cache
from typing import Protocol

BLOCK = 64
_LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so.4")
_CONTEXT_BYTES = 112  # SHA256_CTX of openssl/sha.h: h[8], Nl, Nh, data[16], num, md_len, 32 bits each
_WORDS = struct.Struct("=8I")
_COUNTS = struct.Struct("=2I")


class Digest(Protocol):
    """A running sha256."""

    def update(self, buffer: bytearray, count: int) -> None:
        """Take in the first `count` bytes of `buffer`."""

    def midstate(self) -> str:
        """Return what `taken_up` goes on from; empty where that cannot be had."""

    def hexdigest(self) -> str:
        """Return the sha256; nothing can be taken in after it."""


def new_digest(*, lasting: bool) -> Digest:
    """Return a running sha256 at its beginning, where `lasting` one that can be put away if the machine has that."""
    library = _library() if lasting else None
    return _Lasting(library) if library else _Plain()


def taken_up(midstate: str, count: int) -> Digest | None:
    """Return the running sha256 that was put away as `midstate` after `count` bytes; None where that cannot be."""
    library = _library()
    if library is None or count % BLOCK or len(midstate) != 2 * _WORDS.size:
        return None
    digest = _Lasting(library)
    digest.go_to(bytes.fromhex(midstate), count)
    return digest


class _Plain:
    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, buffer: bytearray, count: int) -> None:
        self._digest.update(memoryview(buffer)[:count])

    def midstate(self) -> str:
        return ""

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _Lasting:
    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self._taken = library, 0
        # Room to spare, in case a library's structure is longer.
        self._context = ctypes.create_string_buffer(4 * _CONTEXT_BYTES)
        library.SHA256_Init(self._context)

    def go_to(self, words: bytes, count: int) -> None:
        self._taken = count
        state = _WORDS.pack(*struct.unpack(">8I", words)) + _COUNTS.pack(8 * count & 0xFFFFFFFF, 8 * count >> 32)
        ctypes.memmove(self._context, state, len(state))

    def update(self, buffer: bytearray, count: int) -> None:
        first = ctypes.byref(ctypes.c_char.from_buffer(buffer))
        self._library.SHA256_Update(self._context, first, ctypes.c_size_t(count))
        self._taken += count

    def midstate(self) -> str:
        if self._taken % BLOCK:
            return ""
        return struct.pack(">8I", *_WORDS.unpack_from(self._context)).hex()

    def hexdigest(self) -> str:
        value = ctypes.create_string_buffer(hashlib.sha256().digest_size)
        self._library.SHA256_Final(value, self._context)
        return value.raw.hex()


@cache
def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            if _is_sound(library):
                return library
        except (OSError, AttributeError):  # not on this machine; without these functions
            continue
    return None


def _is_sound(library: ctypes.CDLL) -> bool:
    """Tell whether a digest that is put away and taken up half-way is hashlib's."""
    content = bytearray(range(256)) * 5
    half = 10 * BLOCK
    first, second = _Lasting(library), _Lasting(library)
    first.update(content, half)
    second.go_to(bytes.fromhex(first.midstate()), half)
    rest = content[half:] + b"rest"
    second.update(rest, len(rest))
    return second.hexdigest() == hashlib.sha256(content + b"rest").hexdigest()
