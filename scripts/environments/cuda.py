"""Tell an author whose machine has no GPU that a CUDA build comes along, and how to get the other one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

_CUDA = re.compile(r"nvidia-(?!ml-py$)|cuda-|triton$")  # nvidia-ml-py only asks a driver, if there is one
_DEVICES = ("dev/nvidia[0-9]*", "dev/dxg", "proc/driver/nvidia/version")


def has_gpu(root: Path = Path("/")) -> bool:
    """Tell whether this machine shows a GPU of NVIDIA, under `root`."""
    return any(next(root.glob(pattern), None) for pattern in _DEVICES)


def cuda_note(pins: Mapping[str, str], python: str, environment: Mapping[str, str]) -> str:
    """Return what a person without a GPU is told about pins, nothing where no CUDA library is among them.

    Parameters
    ----------
    pins : mapping of str to str
        Versions by name.
    python : str
        Version that they are for.
    environment : mapping of str to str
        Variables; those that name wheels count, of uv and of pip.
    """
    names = [name for name in sorted(pins) if _CUDA.match(name)]
    if not names:
        return ""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    said = f"note: CUDA libraries are pinned ({', '.join(names[:2])}{more}), and this machine has no GPU"
    if pins.get("torch", "+cpu").endswith("+cpu"):
        return f"{said}: requirements.txt says of each, after `via`, what brings it"
    said += f": torch=={pins['torch']} is a CUDA build. For the CPU build"
    if not (wheel := _cpu_wheel(python, environment)):
        return f"{said}, set UV_TORCH_BACKEND=cpu, or see docs/torch.md"
    line = f"torch=={wheel.name.split('-')[1]}"
    return f"{said} in {wheel.parent}, set UV_FIND_LINKS={wheel.parent} and add the line {line} to constraints.txt"


def _cpu_wheel(python: str, environment: Mapping[str, str]) -> Path | None:
    """Return the newest CPU wheel of torch in a directory that uv's or pip's settings name."""
    from packaging.utils import parse_wheel_filename  # only where there is CUDA

    named = [*environment.get("UV_FIND_LINKS", "").split(","), *environment.get("PIP_FIND_LINKS", "").split()]
    places = [Path(unquote(urlsplit(word).path)) for word in named if urlsplit(word).scheme in ("", "file") and word]
    tag = f"-cp{''.join(python.split('.')[:2])}-"
    wheels = [wheel for place in places for wheel in place.glob("torch-*+cpu-*.whl") if tag in wheel.name]
    return max(wheels, key=lambda wheel: parse_wheel_filename(wheel.name)[1], default=None)
