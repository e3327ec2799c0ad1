"""What every room uses: the nearest name, and what a virtual environment says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_side.base.errors import near
from model_side.base.processes import pyvenv


@pytest.mark.parametrize(("name", "question"), [("pbmc_pac", "Did you mean 'pbmc_pca'?"), ("tf", ""), ("", "")])
def test_nearest_name_is_asked_for_where_one_is_near(name: str, question: str) -> None:
    assert near(name, {"pbmc_pca": 1, "transcriptformer": 2}) == question


def test_settings_of_an_environment_are_read_and_none_where_there_is_no_environment(tmp_path: Path) -> None:
    assert pyvenv(tmp_path) == {}
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\nprompt = a = b\n")
    assert pyvenv(tmp_path) == {"home": "/usr/bin", "version_info": "3.11.7", "prompt": "a = b"}
