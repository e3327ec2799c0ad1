"""The incremental pipeline: steps as data, decided by content, run as transactions.

>>> from engine import Step, build, status
"""

from .runner import build, status
from .step import Command, Preparation, Says, Step

__all__ = ["Command", "Preparation", "Says", "Step", "build", "status"]
