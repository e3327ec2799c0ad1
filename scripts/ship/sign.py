"""Sign a verified package, and tell who signed a model, with OpenSSF's model-signing: the format that others verify.

The signature covers every file, and our manifest among them; not the bytecode that Python leaves in code/, nor what
registries and hubs put beside the package.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError, UsageError
from model_side.base.found import report_found
from model_side.model.added import ADDED, SIGNATURE
from model_side.model.manifest import MANIFEST

from .facts import library, read_facts

_FAULTS = (ValueError, TypeError, OSError)  # what model-signing raises, beside its library's own


class Signer(NamedTuple):
    """Whom a model must be signed by, as far as it is asked for: by one of the three.

    Parameters
    ----------
    public_key : Path, optional
    certificates : Path, optional
        Those that are trusted, in PEM: one of them vouches for who signed.
    identity, provider : str
        With Sigstore: who signed, and the OpenID Connect issuer that knows them.
    required : bool
        Whether a model without a signature is refused.
    """

    public_key: Path | None = None
    certificates: Path | None = None
    identity: str = ""
    provider: str = ""
    required: bool = False

    def signed(self, model: Path) -> str:
        """Return who signed a model, in a sentence; nothing where it is not signed and need not be.

        Parameters
        ----------
        model : Path
            Its directory.

        Raises
        ------
        UsageError
            If nothing tells whose signature is asked for, or a key cannot be read.
        StepError
            If it is not signed by them, or is another model now.
        """
        is_named = bool(self.public_key or self.certificates or self.identity)
        if not (model / SIGNATURE).is_file():
            if self.required or is_named:
                raise StepError(str(model), "not signed", expected=SIGNATURE, got="none", advice="Ask its author.")
            return ""
        if not is_named:
            if self.required:
                advice = "Add --public-key, --certificates, or --identity and --identity-provider."
                raise UsageError("--require-signature", "nothing says whose signature", advice=advice)
            return f"it carries a signature, {SIGNATURE}, that was not verified: --public-key does"
        return f"signed by {self._verified(model)}"

    def _verified(self, model: Path) -> str:
        """Verify the signature, and return who signed."""
        config = library("model_signing", "check").verifying.Config().set_ignore_unsigned_files(True)
        with _told(str(model / SIGNATURE), "the signature is not valid for this model and signer", StepError):
            bundle = _bundle(model / SIGNATURE)
            if self.public_key:
                config.use_elliptic_key_verifier(public_key=_key(self.public_key, "--public-key"))
            elif self.certificates:
                config.use_certificate_verifier(certificate_chain=[_file(self.certificates, "--certificates")])
                if not bundle.certificates:
                    raise ValueError("it is signed with a key, without a certificate")
            else:
                config.use_sigstore_verifier(identity=self.identity, oidc_issuer=self.provider)
            config.verify(model, model / SIGNATURE)
            # The manifest names all other files: what it does not, `check` refuses.
            if MANIFEST not in bundle.names:
                raise ValueError(f"it does not cover {MANIFEST}")
            if self.certificates:
                return f"{_require_valid(bundle.certificates)}, by {self.certificates}"
        return self.identity or f"the owner of {self.public_key}"


class Bundle(NamedTuple):
    """What a signature covers, and the certificates that it carries, as it says itself."""

    names: set[str]
    certificates: list[Any]


def sign(package: Path, private_key: Path | None, certificate: Path | None = None) -> None:
    """Sign the MLflow Model of a verified package: model.sig in it.

    Parameters
    ----------
    package : Path
        Its directory.
    private_key : Path, optional
        An elliptic curve key in PEM, without a password; else Sigstore asks who you are, in a browser.
    certificate : Path, optional
        For that key, in PEM; after it, those between it and one that receivers trust.

    Raises
    ------
    UsageError
        If the package is not verified, or the key or the certificate cannot be used.
    """
    facts = read_facts(package)
    signing, model = library("model_signing", "sign"), facts.model
    with _told(str(private_key or "--sigstore"), "cannot sign with it", UsageError):
        config = signing.signing.Config().set_hashing_config(_hashing(signing, model))
        if private_key and certificate:
            chain = _file(certificate, "--certificate").read_bytes()
            _require_valid(_x509().load_pem_x509_certificates(chain))
            key = _key(private_key, "--private-key")
            config.use_certificate_signer(
                private_key=key, signing_certificate=certificate, certificate_chain=[certificate]
            )
        elif private_key:
            config.use_elliptic_key_signer(private_key=_key(private_key, "--private-key"))
        else:
            config.use_sigstore_signer()
        part = model.with_name(f".{SIGNATURE}.part")
        config.sign(model, part)
        part.rename(model / SIGNATURE)
    print(f"{model / SIGNATURE}: signs {facts.digest}")
    report_found({"digest": facts.digest, "signature": str(model / SIGNATURE)})


def _hashing(library: Any, model: Path) -> Any:
    """Return what is signed: all but what may come and go; others that verify are told of it by the signature."""
    places = [model, *(path for path in model.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    bytecode = [os.path.relpath(place / "__pycache__", model) for place in places]
    return library.hashing.Config().set_ignored_paths(paths=[*ADDED, *bytecode], ignore_git_paths=True)


def _key(path: Path, flag: str) -> Path:
    advice = "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes a private one."
    if b"BEGIN CERTIFICATE" in _file(path, flag, advice).read_bytes():
        advice = "--certificate and --certificates take one."
        raise UsageError(f"{flag} {path}", "a certificate", expected="a key", advice=advice)
    return path


def _file(path: Path, flag: str, advice: str = "") -> Path:
    if not path.is_file():
        raise UsageError(f"{flag} {path}", "no such file", advice=advice)
    return path


def _require_valid(chain: Iterable[Any]) -> str:
    """Check that certificates are valid today, and return whom the first is of.

    The library takes the day from which the first is valid for the day of the signature: no expired one is refused.
    """
    now, names = datetime.now(UTC), []
    for each in chain:
        names.append(each.subject.rfc4514_string())
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            days = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
            raise ValueError(f"the certificate of {names[-1]} holds from {days}, today is {now:%Y-%m-%d}")
    return str(names[0])


def _x509() -> Any:
    return library("cryptography.x509", "a certificate")


def _bundle(signature: Path) -> Bundle:
    """Return what a signature says of itself."""
    try:
        document = json.loads(signature.read_bytes())
        chain = document["verificationMaterial"].get("x509CertificateChain", {}).get("certificates", [])
        statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
        names = {each["name"] for each in statement["predicate"]["resources"]}
        found = [_x509().load_der_x509_certificate(base64.b64decode(each["rawBytes"])) for each in chain]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is not a Sigstore bundle") from error
    return Bundle(names, found)


@contextmanager
def _told(subject: str, fault: str, kind: type[StepError] | type[UsageError]) -> Iterator[None]:
    """Tell what the library refuses, and that Sigstore cannot be reached or does not know who signs."""
    exceptions = library("cryptography.exceptions", "a signature")
    untrusted = library("OpenSSL.crypto", "a signature").X509StoreContextError
    errors, oidc = (library(f"sigstore.{name}", "a signature") for name in ("errors", "oidc"))
    try:
        yield
    except (errors.Error, oidc.IssuerError, oidc.ExpiredIdentity) as error:
        advice = "Sigstore needs the network, and who you are: --private-key and --public-key need neither."
        raise StepError(subject, "Sigstore failed", got=str(error) or type(error).__name__, advice=advice) from error
    except (*_FAULTS, exceptions.InvalidSignature, untrusted) as error:
        raise kind(subject, fault, got=str(error) or type(error).__name__) from error
