"""The incremental pipeline: steps as data, decided by content, run as transactions.

>>> from engine import Step, build, status
"""

from .runner import build, status
from .step import Step

__all__ = ["Step", "build", "status"]
