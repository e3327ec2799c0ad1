"""Certificates and proxies, as the machine is set up."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Model, sha256
from .server import Hostile, code, serving


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a self-signed certificate of this machine, with its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the tests")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    made = made.add_extension(here, False).add_extension(x509.BasicConstraints(True, None), True)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem) + secret)
    return path


BUNDLES = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.fixture
def secure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    """Run the server over TLS, with nothing set up that vouches for it."""
    for variable in BUNDLES:
        monkeypatch.delenv(variable, raising=False)
    with serving(certificate) as server:
        yield server


def want(model: Model, url: str) -> None:
    model.declare(f'uri = "{url}?sig=topsecret1"\npath = "w"\nsha256 = "{sha256(b"weights")}"')


def test_certificate_is_named_when_nobody_vouches_for_it(model: Model, secure: Hostile) -> None:
    want(model, secure.put("/w", b"weights"))
    done = model.command_line()
    assert done.returncode == 1
    assert "network: its certificate is not trusted: got" in done.stderr
    assert "self" in done.stderr  # OpenSSL's reason: self-signed
    assert "SSL_CERT_FILE" in done.stderr
    assert "topsecret1" not in done.stderr
    assert "Traceback" not in done.stderr
    assert secure.asked == []
    assert model.files() == {}


@pytest.mark.parametrize("variable", BUNDLES)
def test_certificate_is_trusted_when_the_environment_vouches_for_it(
    model: Model, secure: Hostile, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    want(model, secure.put("/w", b"weights"))
    assert model.command_line().returncode == 0
    assert model.files() == {"w": b"weights"}


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_proxy_is_used_when_the_environment_names_one(
    model: Model, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, hostile.address)
    hostile.put("http://weights.invalid/w", b"weights")
    want(model, "http://weights.invalid/w")
    assert model.command_line().returncode == 0
    assert model.files() == {"w": b"weights"}


def test_proxy_is_named_when_it_wants_credentials(
    model: Model, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", hostile.address.replace("://", "://me:topsecret2@"))
    hostile.put("http://weights.invalid/w", b"", code(407))
    want(model, "http://weights.invalid/w")
    done = model.command_line()
    assert done.returncode == 1
    assert "The proxy needs credentials" in done.stderr
    assert hostile.asked[0].headers["proxy-authorization"].startswith("Basic ")
    assert "topsecret" not in done.stderr
