"""What a verified package is shipped with, as steps behind the proof: part of a chain from when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path

from engine.step import Command, Says, Step
from ship import ENVELOPE, MADE

from .packages import own

CLEANED = ("report", "sbom")  # the card also holds its author's text
_BY = {"report": ("jinja2", "matplotlib"), "card": ("huggingface_hub",), "sbom": ("cyclonedx-python-lib",)}
_ROOMS = ("ship", "plots", "serving", "environments", "model_side")


def shipping(root: Path, proof: Step, tool: Callable[[str, Says], Command], wanted: Container[str]) -> tuple[Step, ...]:
    """Return those steps that are wanted now, and those whose target is there.

    Parameters
    ----------
    root : Path
        The package's directory.
    proof : Step
        The step that verifies: they read what it read, and its verdict.
    tool : callable
        Returns the command of a script of the tool's environment, by its line.
    wanted : container of str
        Names of steps.
    """
    steps = (
        _step(name, target, proof, tool, (ENVELOPE,) if name == "report" and (root / ENVELOPE).exists() else ())
        for name, target in MADE.items()
        if name in wanted or (root / target).exists()
    )
    return tuple(steps)


def _step(name: str, target: str, proof: Step, tool: Callable[[str, Says], Command], beside: tuple[str, ...]) -> Step:
    return Step(
        name,
        tool(f"make_{name} --output-path {target}", Says.AFTERWARDS),
        dependencies=(*proof.targets, *proof.dependencies, "requirements.in", *beside),
        ignored=proof.ignored,
        targets=(target,),
        tools=own(f"scripts/make_{name}.py", *(f"scripts/{room}" for room in _ROOMS)),
        versions={library: _version(library) for library in _BY[name]},
        atomic=True,
        restorable=name in CLEANED,
    )


def _version(library: str) -> str | None:
    """Return which release of a library of the tool's environment is there, None where there is none."""
    from importlib.metadata import PackageNotFoundError, version  # not on the way to a no-op

    try:
        return version(library)
    except PackageNotFoundError:
        return None
