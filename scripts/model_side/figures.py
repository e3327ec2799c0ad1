"""What a prediction costs: seconds, and the memory of its process at its highest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_KIB, _MIB = 2**10, 2**20


@dataclass(frozen=True)
class Figures:
    """What a prediction cost.

    Parameters
    ----------
    seconds : float
    peak_memory : int
        Bytes.
    """

    seconds: float
    peak_memory: int

    def entry(self) -> dict[str, Any]:
        """Return it as a report says it."""
        return {"seconds": round(self.seconds, 3), "peak_memory": self.peak_memory}

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.peak_memory / _MIB:.0f} MiB"


def figures_of(report: Mapping[str, Any]) -> dict[str, Figures]:
    """Return the figures of each route in a report."""
    return {name: Figures(each["seconds"], each["peak_memory"]) for name, each in report.get("figures", {}).items()}


def peak_memory(process: int | str = "self") -> int:
    """Return how many bytes of memory a process held at most, itself without its children, as the kernel says it."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * _KIB for line in lines if line.startswith("VmHWM:")), 0)
