"""Draw a pipeline: steps with their state, the files between them, as Mermaid text."""

from __future__ import annotations

from collections.abc import Iterator

from engine.graph import check
from engine.step import overlaps
from engine.walk import Pipeline, Result

COLOURS = {"up to date": "#d9f2d9", "stale": "#ffe3b3", "pending": "#e6e6e6", "broken": "#f7c9c9"}


def mermaid(pipeline: Pipeline, result: Result) -> str:
    """Return the pipeline as a Mermaid flowchart: an arrow per file that one step hands to another."""
    states = {outcome.step: outcome.state for outcome in result.outcomes}
    lines = ["flowchart TD"]
    for step in pipeline.steps:
        lines.append(f'  {_key(step.name)}["{step.name}<br/>{states[step.name]}"]:::{_key(states[step.name])}')
    for start, files, end in _edges(pipeline):
        lines.append(
            f'  {_key(start)} -->|"{", ".join(files)}"| {_key(end)}' if files else f"  {_key(start)} --> {_key(end)}"
        )
    lines += [f"  classDef {_key(state)} fill:{colour},stroke:#555" for state, colour in COLOURS.items()]
    return "\n".join(lines)


def _edges(pipeline: Pipeline) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield (maker, files, reader): what a step reads of another's targets; none where only the order is declared."""
    before = check(pipeline.steps)
    by_name = {step.name: step for step in pipeline.steps}
    for step in pipeline.steps:
        for name in sorted(before[step.name], key=list(by_name).index):
            targets = by_name[name].targets
            yield name, tuple(t for t in targets if any(overlaps(t, d) for d in step.dependencies)), step.name


def _key(text: str) -> str:
    return text.replace("-", "_").replace(" ", "_").replace(".", "_")
