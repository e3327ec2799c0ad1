"""The model card says what is declared and measured, lists what is not, and never loses its author's text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from make_card import main

from model_side.base.errors import ReportedError
from ship.card import BEGIN, END, card
from ship.facts import read_facts

from .verified_package import verified_package

hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub: `make setup EXTRA=ship` installs it")
OWN = "## Limits\n\n\n\nOnly mice. {{ not jinja }}\n---\n"
ABOUT = {"description": "Embeds | cells.", "license": "Apache-2.0", "citation": "A. Author 2026"}


def front_matter(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def write(package: Path) -> Path:
    path = package / "model_card" / "README.md"
    assert main(["--package", str(package), "--output-path", str(path)]) == 0
    return path


def insert(path: Path, text: str) -> None:
    before, _, rest = path.read_text().partition(f"{BEGIN}\n")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def test_card_has_the_hubs_front_matter_with_what_verify_measured(tmp_path: Path) -> None:
    text = card(read_facts(verified_package(tmp_path, about=ABOUT)))
    found = front_matter(text)
    assert found["library_name"] == "mlflow"
    assert found["license"] == "apache-2.0"
    assert found["tags"] == ["mlflow", "dataframe_to_dataframe", "organism:mouse"]
    assert "pipeline_tag" not in found
    (result,) = found["model-index"][0]["results"]
    assert [each["value"] for each in result["metrics"]] == [0.0] * 3
    data = hub.ModelCard(text).data
    assert (data.model_name, len(data.eval_results)) == ("tiny", 3)


def test_card_lists_what_is_not_declared_and_invents_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = write(verified_package(tmp_path, about=ABOUT)).read_text()
    assert "## Not stated by the author\n\nINTENDED_USE\n" in text
    assert "Embeds | cells." in text
    assert "## Citation\n\nA. Author 2026" in text
    assert capsys.readouterr().out == "model_spec.py does not declare INTENDED_USE: the card says so\n"
    bare = card(read_facts(verified_package(tmp_path / "bare")))
    assert "license" not in front_matter(bare)
    assert "DESCRIPTION, INTENDED_USE, LICENSE, CITATION" in bare


def test_card_states_the_environment_variables_that_a_receiver_sets(tmp_path: Path) -> None:
    package = verified_package(tmp_path, variables=["REF_SCALE", "LICENCE_FILE"])
    assert "\n\nSet these environment variables: `REF_SCALE`, `LICENCE_FILE`.\n\n" in card(read_facts(package))
    assert "environment variables" not in card(read_facts(verified_package(tmp_path / "bare")))


def test_license_that_is_a_sentence_is_other_with_its_name(tmp_path: Path) -> None:
    found = front_matter(card(read_facts(verified_package(tmp_path, about={"license": "For research only"}))))
    assert (found["license"], found["license_name"]) == ("other", "For research only")


@pytest.mark.parametrize("own", [OWN, "", "one line"])
def test_authors_text_survives_a_rebuild_to_the_letter(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = verified_package(tmp_path)
    path = write(package)
    insert(path, own)
    edited = path.read_text()
    assert write(package).read_text() == edited
    assert [each.name for each in path.parent.iterdir()] == ["README.md"]
    assert "edited outside" not in capsys.readouterr().out


@pytest.mark.parametrize("edit", ["generated part", "author's lines removed", "foreign"])
def test_edit_of_the_generated_part_is_kept_beside_and_said(
    edit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = verified_package(tmp_path)
    made = write(package)
    insert(made, OWN)
    texts = {
        "generated part": made.read_text().replace("# tiny", "# Tiny, the great"),
        "author's lines removed": made.read_text().replace(END, ""),
        "foreign": "# A card of my own\n",
    }
    made.write_text(texts[edit])
    text = write(package).read_text()
    assert (made.parent / "README.md.edited").read_text() == texts[edit]
    assert "# tiny\n" in text
    assert (OWN in text) == (edit == "generated part")
    assert "edited outside the author's lines: the edit is kept as README.md.edited" in capsys.readouterr().out


def test_text_that_holds_a_line_of_the_cards_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportedError, match="a text for people holds a line of the card's own"):
        card(read_facts(verified_package(tmp_path, about={"description": END})))
