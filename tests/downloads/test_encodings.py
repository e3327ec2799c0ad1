"""Servers that encode a body, which nobody asked them to: what is declared and written are the bytes before that."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from .conftest import Model, sha256
from .server import Answer, Fault, Hostile

WEIGHTS = random.Random(1).randbytes(5 << 20) + bytes(3 << 20)


def encoded(name: str, body: bytes, sent: int | None = None) -> Fault:
    """Answer with this body under this Content-Encoding, and honour ranges of it, as some do."""

    def answer_with(answer: Answer) -> None:
        answer.hostile.files[answer.name] = body
        headers = {"Content-Encoding": name}
        answer.serve(sent=sent, **headers)

    return answer_with


BODIES = {
    "gzip": gzip.compress(WEIGHTS, 1),
    "x-gzip": gzip.compress(WEIGHTS, 1),
    "GZIP": gzip.compress(WEIGHTS, 1),
    "deflate": zlib.compress(WEIGHTS, 1),
    "gzip, identity": gzip.compress(WEIGHTS, 1),
    "identity": WEIGHTS,
    "Identity": WEIGHTS,
    "aws-chunked": WEIGHTS,
    "utf-8": WEIGHTS,
}


def want(model: Model, hostile: Hostile, *faults: Fault) -> None:
    url = hostile.put("/w", WEIGHTS, *faults)
    model.declare(f'uri = "{url}"\npath = "w"\nsha256 = "{sha256(WEIGHTS)}"')


@pytest.mark.parametrize("name", BODIES)
def test_body_is_decoded_as_its_encoding_says(model: Model, hostile: Hostile, name: str) -> None:
    want(model, hostile, encoded(name, BODIES[name]))
    assert model.actions() == ["fetched"]
    assert model.files() == {"w": WEIGHTS}


def test_encoded_body_starts_over_when_it_was_cut(model: Model, hostile: Hostile) -> None:
    body = BODIES["gzip"]
    want(model, hostile, encoded("gzip", body, 3 << 20), *[encoded("gzip", body)] * 3)
    assert model.actions() == ["fetched"]
    assert model.files() == {"w": WEIGHTS}


@pytest.mark.parametrize("name", ["compress", "dcb", "gzip, compress"])
def test_encoding_is_named_when_it_cannot_be_decoded(model: Model, hostile: Hostile, name: str) -> None:
    want(model, hostile, *[encoded(name, b"?" * 100)] * 9)
    error = model.error()
    assert "its server sends it encoded in a way that cannot be decoded here" in error
    assert f"got {name.split()[-1]}" in error
    assert model.files() == {}
