"""The report in a real browser: what is seen, said to a screen reader, asked of the network; with screenshots."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ship.facts import read_facts
from ship.report import page as report
from tests.chain.conftest import NAME, REPOSITORY, Package
from tests.chain.conftest import package as package

from .test_publishing import verified as verified
from .test_report import SECTIONS
from .verified_package import verified_package

pytestmark = pytest.mark.heavy
# As `apt-get install chromium`, `uv sync --group browser` and npm's registry give them.
playwright = pytest.importorskip("playwright.sync_api", reason="playwright: `uv sync --group browser` installs it")
CHROMIUM, NPM = shutil.which("chromium"), shutil.which("npm")
TEXTS = {
    "Signature": "count",
    "How to call it": "mlflow.pyfunc.load_model",
    "Output": "All values of 3 rows and 2 columns.",
    "Ways of running it": "in-process",
    "Checks": "uses no network",
    "Chain": "The steps that made it",
    "Environment": "BSD-3-Clause",
    "Files": "artifacts/weights.bin",
}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the text of axe-core."""
    if not NPM:
        pytest.skip("npm is not installed")
    place = tmp_path_factory.mktemp("axe")
    subprocess.run([NPM, "install", "axe-core@4", "--no-audit", "--no-fund", "--silent"], cwd=place, check=True)
    return (place / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return Chromium, without a window."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_report_is_readable_and_asks_for_nothing_at(
    width: int, scheme: str, browser: Any, axe: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(report(read_facts(verified_package(tmp_path))))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.screenshot(path=tmp_path / f"report-{width}-{scheme}.png", full_page=True)
    for name in SECTIONS:
        region = page.get_by_role("region", name=name)
        assert TEXTS[name] in region.inner_text()
    assert page.get_by_role("img", name="All values of 3 rows and 2 columns.").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Copy: curl").click()
    page.get_by_text("with your keyboard").or_(page.get_by_text("Copied.")).wait_for()
    assert (said, requests) == ([], [path.as_uri()])
    page.add_script_tag(content=axe)
    found = page.evaluate("axe.run()")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    page.close()


@pytest.fixture(scope="module")
def address(verified: Package) -> Iterator[str]:
    """Return the address that `invoke report --serve` prints."""
    words = ["report", "--serve", "--model", NAME, "--models-dir", str(verified.root.parent), "--plain"]
    command = [sys.executable, "-m", "invoke", *words]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield next(line.strip() for line in process.stdout if line.startswith("http://"))
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait() == 130


@pytest.mark.parametrize("width", [360, 1440])
def test_page_asks_the_running_model_and_shows_its_answer_at(
    width: int, address: str, browser: Any, axe: str, verified: Package, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    field = page.get_by_label("input_uri (string)")
    uri = field.input_value()
    field.fill("nowhere.h5ad")
    assert json.loads(page.get_by_label("Payload, as JSON").input_value())["dataframe_split"]["data"] == [
        ["nowhere.h5ad"]
    ]
    answer, button = page.get_by_role("region", name="Answer"), page.get_by_role("button", name="Ask the model")
    button.click()
    answer.get_by_text("status 4").or_(answer.get_by_text("status 5")).wait_for()
    field.fill(uri)
    button.click()
    answer.get_by_role("img").wait_for()
    predicted = json.loads((verified.root / "predict_output.json").read_text())["predictions"]
    assert answer.get_by_role("cell", name=f"{predicted[0][0]:.6g}").first.is_visible()
    assert "Answered in" in page.get_by_role("status").inner_text()
    page.screenshot(path=tmp_path / f"ask-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    page.add_script_tag(content=axe)
    found = page.evaluate("axe.run()")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    page.get_by_role("link", name="Report").click()
    page.get_by_role("region", name="Ways of running it").wait_for()
    page.close()
