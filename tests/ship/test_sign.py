"""A signature is that of the field, names who signed, and is of this very model, valid today."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import check_model
import pytest
import sign_model

from model_side.base.errors import ReportedError, StepError, UsageError

from .verified_package import verified_package

pytest.importorskip("model_signing", reason="model-signing: `make setup EXTRA=ship` installs it")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM, TODAY = serialization.Encoding.PEM, datetime.now(UTC)
HOLDERS = {"root": "root", "maker": "root", "me": "maker", "expired": "maker", "early": "maker", "stranger": "stranger"}
DAYS = {"expired": (-9, -1), "early": (1, 9)}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with keys: NAME.key, NAME.pub, and the certificates NAME.pem, the maker's after it."""
    place, made = tmp_path_factory.mktemp("keys"), {}
    for name, issuer in HOLDERS.items():
        made[name] = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (place / f"{name}.key").write_bytes(made[name].private_bytes(PEM, *form))
        public = made[name].public_key()
        (place / f"{name}.pub").write_bytes(public.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        subject, by = (x509.Name.from_rfc4514_string(f"CN={each}") for each in (name, issuer))
        first, last = (TODAY + timedelta(days) for days in DAYS.get(name, (-9, 9)))
        builder = x509.CertificateBuilder(by, subject, public, x509.random_serial_number(), first, last)
        is_maker = name in HOLDERS.values()
        builder = builder.add_extension(x509.BasicConstraints(is_maker, None), critical=True)
        usage = x509.KeyUsage(not is_maker, False, False, False, False, is_maker, is_maker, False, False)
        certificate = builder.add_extension(usage, critical=True).sign(made[issuer], hashes.SHA256())
        above = (place / f"{issuer}.pem").read_bytes() if issuer not in (name, "root") else b""
        (place / f"{name}.pem").write_bytes(certificate.public_bytes(PEM) + above)
    return place


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the MLflow Model of a verified package."""
    return verified_package(tmp_path / "models") / "mlflow_model_artifacts"


def sign(model: Path, keys: Path, holder: str = "me", *, certified: bool = False) -> None:
    """Sign a model by our command line, with a key or with its certificate."""
    words = ["--package", str(model.parent), "--private-key", str(keys / f"{holder}.key")]
    words += ["--certificate", str(keys / f"{holder}.pem")] if certified else []
    assert sign_model.main(words) == 0


def check(model: Path, *words: object) -> None:
    """Check a model's files and signature by our command line."""
    assert check_model.main(["--model-uri", str(model), "--manifest-only", *map(str, words)]) == 0


def theirs(model: Path, *words: object) -> int:
    """Run the command line of OpenSSF's library."""
    verb, method, *more = map(str, words)
    command = [sys.executable, "-m", "model_signing", verb, method, str(model), "--signature", f"{model}/model.sig"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done.returncode


def copied(model: Path, place: Path, *, signed: bool = True) -> Path:
    ignored = None if signed else shutil.ignore_patterns("model.sig")
    return Path(shutil.copytree(model, place, ignore=ignored))


def load(model: Path) -> None:
    """Leave what Python leaves where a model's code was imported."""
    (model / "code" / "__pycache__").mkdir()
    (model / "code" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")


@pytest.mark.parametrize("method", ["key", "certificate"])
def test_ours_is_accepted_by_theirs_and_theirs_by_ours_also_after_the_model_was_loaded(
    method: str, model: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, who = {
        "key": (["--public-key", keys / "me.pub"], f"signed by the owner of {keys}/me.pub"),
        "certificate": (["--certificates", keys / "root.pem"], f"signed by CN=me, by {keys}/root.pem"),
    }[method]
    verified = {"key": ["--public_key", ours[1]], "certificate": ["--certificate_chain", ours[1]]}[method]
    other = copied(model, tmp_path / "theirs")
    sign(model, keys, certified=method == "certificate")
    load(model)
    assert theirs(model, "verify", method, *verified) == 0
    words = ["--signing_certificate", keys / "me.pem", "--certificate_chain", keys / "maker.pem"]
    assert theirs(other, "sign", method, "--private_key", keys / "me.key", *words * (method == "certificate")) == 0
    load(other)
    for each in (model, other):
        check(each, *ours, "--require-signature")
        assert f"{each}: {who}" in capsys.readouterr().err
    check(model)
    assert "it carries a signature, model.sig, that was not verified" in capsys.readouterr().err


def of_another_model(model: Path, keys: Path) -> None:
    other = copied(model, model.parents[2] / "other", signed=False)
    (other / "MLmodel").write_text("another: model\n")
    assert theirs(other, "sign", "key", "--private_key", keys / "me.key") == 0
    shutil.copy(other / "model.sig", model)


def changed(model: Path, keys: Path) -> None:
    sign(model, keys)
    (model / "artifacts" / "weights.bin").write_bytes(b"other")


def without_the_manifest(model: Path, keys: Path) -> None:
    part = copied(model, model.parents[2] / "part")
    (part / "package_manifest.json").unlink()
    assert theirs(part, "sign", "key", "--private_key", keys / "me.key") == 0
    shutil.copy(part / "model.sig", model)


def expired(model: Path, keys: Path) -> None:
    words = ["--signing_certificate", keys / "expired.pem", "--certificate_chain", keys / "maker.pem"]
    assert theirs(model, "sign", "certificate", "--private_key", keys / "expired.key", *words) == 0
    assert theirs(model, "verify", "certificate", "--certificate_chain", keys / "root.pem") == 0


def broken(model: Path, keys: Path) -> None:
    sign(model, keys)
    (model / "model.sig").write_text("{}")


def certified(model: Path, keys: Path) -> None:
    sign(model, keys, certified=True)


BY_ME, BY_ROOT = ("--public-key", "me.pub"), ("--certificates", "root.pem")
INVALID, NO_CHAIN = (
    "the signature is not valid for this model and signer",
    "got it is signed with a key, without a",
)
REFUSED: dict[str, tuple[Callable[[Path, Path], object], tuple[str, ...], str]] = {
    "not signed": (lambda *_: None, BY_ME, "not signed: expected model.sig, got none. Ask its author."),
    "not signed at all": (lambda *_: None, ("--require-signature",), "not signed: expected model.sig"),
    "another key": (sign, ("--public-key", "stranger.pub"), INVALID),
    "another model": (of_another_model, BY_ME, INVALID),
    "a changed file": (changed, BY_ME, INVALID),
    "part of the model": (without_the_manifest, BY_ME, f"{INVALID}: got it does not cover package_manifest.json"),
    "no bundle": (broken, BY_ME, INVALID),
    "an expired certificate": (
        expired,
        BY_ROOT,
        f"{INVALID}: got the certificate of CN=expired holds from",
    ),
    "an untrusted certificate": (certified, ("--certificates", "stranger.pem"), INVALID),
    "a key, not a certificate": (sign, BY_ROOT, NO_CHAIN),
    "nobody named": (
        sign,
        ("--require-signature",),
        "nothing says whose signature. Add --public-key, --certif",
    ),
    "a certificate for a key": (sign, ("--public-key", "me.pem"), "a certificate: expected a key. --certificate and"),
    "no such file": (sign, ("--certificates", "nothing"), "nothing: no such file"),
}


@pytest.mark.parametrize("state", REFUSED)
def test_check_refuses_with_words_when_the_signature_is_of(state: str, model: Path, keys: Path) -> None:
    act, words, says = REFUSED[state]
    act(model, keys)
    with pytest.raises(ReportedError) as fault:
        check(model, words[0], *(keys / name for name in words[1:]))
    assert says in str(fault.value)


@pytest.mark.parametrize("holder", ["expired", "early"])
def test_sign_refuses_a_certificate_that_is_not_valid_today(holder: str, model: Path, keys: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot sign with it: got the certificate of CN={holder} holds from 20"):
        sign(model, keys, holder, certified=True)
    assert not (model / "model.sig").exists()


@pytest.mark.parametrize("name", ["me.pub", "me.pem", "nothing"])
def test_sign_names_the_key_that_it_cannot_use(name: str, model: Path, keys: Path) -> None:
    with pytest.raises(UsageError, match=f"{keys / name}: "):
        sign_model.main(["--package", str(model.parent), "--private-key", str(keys / name)])


def test_certificate_of_another_key_is_refused(model: Path, keys: Path) -> None:
    words = ["--private-key", keys / "me.key", "--certificate", keys / "stranger.pem"]
    with pytest.raises(UsageError, match="does not match the public key paired with the private key"):
        sign_model.main(["--package", str(model.parent), *map(str, words)])


def test_sigstore_that_cannot_be_reached_is_told_at_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(StepError) as fault:
        sign_model.main(["--package", str(model.parent), "--sigstore"])
    assert str(fault.value) == (
        "--sigstore: Sigstore failed: got Failed to refresh TUF metadata. "
        "Sigstore needs the network, and who you are: --private-key and --public-key need neither."
    )


@pytest.mark.parametrize("words", [["--identity", "me@example.org"], ["--certificates", "roots.pem"]])
def test_signer_is_named_in_one_way_alone(words: list[str]) -> None:
    with pytest.raises(UsageError, match="not allowed with argument --public-key"):
        check_model.main(["--model-uri", "models", "--public-key", "me.pub", *words])


def test_certificate_is_of_a_key(model: Path) -> None:
    with pytest.raises(UsageError, match="--certificate is of the key of --private-key"):
        sign_model.main(["--package", str(model.parent), "--sigstore", "--certificate", "me.pem"])
