"""Draw a pipeline: steps with their state, the files between them, as Mermaid text or as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from engine.graph import check
from engine.step import overlaps
from engine.walk import Pipeline, Result

COLOURS = {"up to date": "#d9f2d9", "stale": "#ffe3b3", "pending": "#e6e6e6", "broken": "#f7c9c9"}
WIDTH, HEIGHT, GAP, MARGIN = 210, 46, 34, 24


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


def svg(pipeline: Pipeline, result: Result) -> str:
    """Return the pipeline as an SVG document: a row per step, an arc per file that one step hands to another."""
    states = {outcome.step: outcome.state for outcome in result.outcomes}
    rows = {outcome.step: number for number, outcome in enumerate(result.outcomes)}
    height = 2 * MARGIN + len(rows) * (HEIGHT + GAP) - GAP
    width = 2 * MARGIN + WIDTH + 430
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="13">',
        '<defs><marker id="end" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
        f"<title>{escape(pipeline.name or 'pipeline')}</title>",
    ]
    parts += [_box(rows[step.name], step.name, states[step.name], step.targets) for step in pipeline.steps]
    parts += [_arc(rows[start], rows[end], ", ".join(files)) for start, files, end in _edges(pipeline)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _edges(pipeline: Pipeline) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield (maker, files, reader): what a step reads of another's targets; none where only the order is declared."""
    before = check(pipeline.steps)
    by_name = {step.name: step for step in pipeline.steps}
    for step in pipeline.steps:
        for name in sorted(before[step.name], key=list(by_name).index):
            targets = by_name[name].targets
            yield name, tuple(t for t in targets if any(overlaps(t, d) for d in step.dependencies)), step.name


def _box(row: int, name: str, state: str, targets: tuple[str, ...]) -> str:
    y = MARGIN + row * (HEIGHT + GAP)
    made = ", ".join(targets[:2]) + (f" and {len(targets) - 2} more" if len(targets) > 2 else "")
    return (
        f'<g><rect x="{MARGIN}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
        f' fill="{COLOURS[state]}" stroke="#555"/>'
        f'<text x="{MARGIN + 12}" y="{y + 19}" font-weight="bold">{escape(name)} · {state}</text>'
        f'<text x="{MARGIN + 12}" y="{y + 36}" font-size="10" fill="#333">{escape(made)}</text></g>'
    )


def _arc(start: int, end: int, files: str) -> str:
    """Return an arrow: straight down to the next row, else a curve on the right that is wider the further it goes."""
    low, high = MARGIN + start * (HEIGHT + GAP), MARGIN + end * (HEIGHT + GAP)
    if end == start + 1:
        x = MARGIN + WIDTH // 2
        path = f"M{x},{low + HEIGHT} L{x},{high - 2}"
    else:
        x, bend = MARGIN + WIDTH, MARGIN + WIDTH + 40 + 44 * (end - start)
        path = f"M{x},{low + HEIGHT - 12} C{bend},{low + HEIGHT} {bend},{high} {x + 3},{high + 12}"
    title = f"<title>{escape(files)}</title>" if files else ""
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#end)">{title}</path>'


def _key(text: str) -> str:
    return text.replace("-", "_").replace(" ", "_").replace(".", "_")
