"""Sign a verified package, and tell who signed a model, with OpenSSF's model-signing: the format that others verify.

The signature covers every file, and our manifest among them; not the bytecode that Python leaves in code/, nor what
registries and hubs put beside the package.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError, UsageError
from model_side.base.found import report_found
from model_side.model.added import ADDED, SIGNATURE
from model_side.model.manifest import MANIFEST

from .facts import library, read_facts

_FAULTS = (ValueError, TypeError, OSError)  # what model-signing raises, beside its library's own


class Signer(NamedTuple):
    """Whom a model must be signed by, as far as it is asked for.

    Parameters
    ----------
    public_key : Path, optional
    identity, provider : str
        With Sigstore: who signed, and the OpenID Connect issuer that knows them.
    required : bool
        Whether a model without a signature is refused.
    """

    public_key: Path | None = None
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
        if not (model / SIGNATURE).is_file():
            if self.required or self.public_key or self.identity:
                raise StepError(str(model), "not signed", expected=SIGNATURE, got="none", advice="Ask its author.")
            return ""
        if not (self.public_key or self.identity):
            if self.required:
                advice = "Add --public-key, or --identity and --identity-provider."
                raise UsageError("--require-signature", "nothing says whose signature", advice=advice)
            return f"it carries a signature, {SIGNATURE}, that was not verified: --public-key does"
        self._verify(model)
        return f"signed by {self.identity or f'the owner of {self.public_key}'}"

    def _verify(self, model: Path) -> None:
        config = library("model_signing", "check").verifying.Config().set_ignore_unsigned_files(True)
        with _told(str(model / SIGNATURE), "the signature is not valid for this model and signer", StepError):
            if self.public_key:
                config.use_elliptic_key_verifier(public_key=_key(self.public_key, "--public-key"))
            else:
                config.use_sigstore_verifier(identity=self.identity, oidc_issuer=self.provider)
            config.verify(model, model / SIGNATURE)
            # The manifest names all other files: what it does not, `check` refuses.
            if MANIFEST not in _signed_names(model / SIGNATURE):
                raise ValueError(f"it does not cover {MANIFEST}")


def sign(package: Path, private_key: Path | None) -> None:
    """Sign the MLflow Model of a verified package: model.sig in it.

    Parameters
    ----------
    package : Path
        Its directory.
    private_key : Path, optional
        An elliptic curve key in PEM, without a password; else Sigstore asks who you are, in a browser.

    Raises
    ------
    UsageError
        If the package is not verified, or the key cannot be used.
    """
    facts = read_facts(package)
    signing, model = library("model_signing", "sign"), facts.model
    with _told(str(private_key or "--sigstore"), "cannot sign with it", UsageError):
        config = signing.signing.Config().set_hashing_config(_hashing(signing, model))
        if private_key:
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
    if path.is_file() and b"BEGIN CERTIFICATE" in path.read_bytes():
        advice = f"`openssl x509 -in {path} -pubkey -noout` prints its key; look at its dates yourself (-dates)."
        raise UsageError(f"{flag} {path}", "a certificate", expected="a key", advice=advice)
    if not path.is_file():
        advice = "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes a private one."
        raise UsageError(f"{flag} {path}", "no such file", advice=advice)
    return path


def _signed_names(signature: Path) -> set[str]:
    """Return the names of the files that a signature covers; it is verified before."""
    payload = json.loads(signature.read_bytes())["dsseEnvelope"]["payload"]
    return {each["name"] for each in json.loads(base64.b64decode(payload))["predicate"]["resources"]}


@contextmanager
def _told(subject: str, fault: str, kind: type[StepError] | type[UsageError]) -> Iterator[None]:
    """Tell what the library refuses, and that Sigstore cannot be reached or does not know who signs."""
    exceptions = library("cryptography.exceptions", "a signature")
    errors, oidc = (library(f"sigstore.{name}", "a signature") for name in ("errors", "oidc"))
    try:
        yield
    except (errors.Error, oidc.IssuerError, oidc.ExpiredIdentity) as error:
        advice = "Sigstore needs the network, and who you are: --private-key and --public-key need neither."
        raise StepError(subject, "Sigstore failed", got=str(error) or type(error).__name__, advice=advice) from error
    except (*_FAULTS, exceptions.InvalidSignature) as error:
        raise kind(subject, fault, got=str(error) or type(error).__name__) from error
