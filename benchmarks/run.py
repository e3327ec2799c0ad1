"""Measure the tool against its limits, in sections; write results.json and docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import going_back
import large_weights
import manual_way
import many_steps
import no_op
import slow_model
import weights
from measuring import REPOSITORY, Figure

import batch

RESULTS, PAGE = REPOSITORY / "benchmarks" / "results.json", REPOSITORY / "docs" / "benchmarks.md"
# Each section: its name, what it is about, what measures it.
SECTIONS = {
    "no-op": ("Nothing to do", no_op.measure),
    "many steps": ("Many steps", many_steps.measure),
    "manual way": ("Against the manual way", manual_way.measure),
    "going back": ("Going back", going_back.measure),
    "slow model": ("A slow model", slow_model.measure),
    "batch": ("A cohort", batch.measure),
    "packaging": ("Packaging large weights", large_weights.measure),
    "weights": ("Bringing weights", weights.measure),
}
ABOUT = """\
# Benchmarks

`make bench` measures the tool against its limits, and writes this page and `benchmarks/results.json`;
`make bench ARGS='--only SECTION'` measures one section of it again. Times are taken in alternation in one run; each
ratio is the median over rounds, so that a busy machine slows both sides.
"""


def main() -> int:
    """Measure, write both files, print the page; 1 where a figure exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; repeatable (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each command is run (default: %(default)s)")
    args = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in args.only or SECTIONS:
        with tempfile.TemporaryDirectory() as place:
            results[name] = as_document(SECTIONS[name][1](Path(place), args.rounds), args.rounds)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    text = page(results)
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    return 0 if all(each["met"] for section in results.values() for each in section["figures"]) else 1


def as_document(found: Sequence[Figure], rounds: int) -> dict[str, Any]:
    """Return a section as it is kept, with the machine that it was measured on."""
    figures = [{**each._asdict(), "value": round(each.value, 3), "met": each.met} for each in found]
    return {"rounds": rounds, "python": platform.python_version(), "processors": os.cpu_count(), "figures": figures}


def page(results: dict[str, Any]) -> str:
    """Return the page of all sections that were ever measured."""
    kept = [section(title, results[name]) for name, (title, _) in SECTIONS.items() if name in results]
    return "\n".join([ABOUT, *kept])


def section(title: str, document: dict[str, Any]) -> str:
    """Return one section: a table, and what it was measured with."""
    lines = [f"## {title}", "", "{rounds} rounds, Python {python}, {processors} processors.".format(**document), ""]
    lines += ["| figure | measured | at most | met | how |", "|---|---|---|---|---|"]
    for each in document["figures"]:
        met = f"{each['limit']:g} {each['unit']} | {'yes' if each['met'] else 'no'} " if each["limit"] else "| "
        lines.append(f"| {each['name']} | {each['value']:.2f} {each['unit']} | {met}| {each['how']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
