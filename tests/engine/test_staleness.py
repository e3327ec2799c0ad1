"""The truth table of staleness, decided by the pure functions."""

from __future__ import annotations

import pytest

from engine.staleness import EDITED, MISSING, Reason, Seen, Stale, UpToDate, Why, as_made, decide, edited
from engine.step import Step

STEP = Step("package", "make it", ["code", "spec.py"], ["model", "payload"], editable=["payload"])
RECORD = Seen(
    dependencies={"code/": "directory", "code/a.py": "sha256:a", "spec.py": "sha256:s"},
    targets={"model/": "directory", "model/w": "sha256:w", "payload": "sha256:p"},
    tools={"scripts/x.py": "sha256:x"},
    params={"depth": 3, "mode": None},
    versions={"uv": "1.0"},
    command="make it",
)


def put(kind: str, **changes: object) -> Seen:
    """Return what is seen when some entries differ from the record; a value of ... removes an entry."""
    values = {
        **getattr(RECORD, kind),
        **{key.replace("__", "/").replace("_py", ".py"): v for key, v in changes.items()},
    }
    return RECORD._replace(**{kind: {key: value for key, value in values.items() if value is not ...}})


TABLE = [
    # state: what is seen, verdict's reasons as (code, subject, old, new)
    ("nothing changed", RECORD, []),
    ("a dependency's content changed", put("dependencies", spec_py="sha256:t"),
     [(Why.DEPENDENCY_CHANGED, "spec.py", "sha256:s", "sha256:t")]),
    ("a file was added to a directory", put("dependencies", code__b_py="sha256:b"),
     [(Why.DEPENDENCY_ADDED, "code/b.py", None, "sha256:b")]),
    ("a file was removed from a directory", put("dependencies", code__a_py=...),
     [(Why.DEPENDENCY_REMOVED, "code/a.py", "sha256:a", None)]),
    ("a file was renamed", put("dependencies", code__a_py=..., code__c_py="sha256:a"),
     [(Why.DEPENDENCY_REMOVED, "code/a.py", "sha256:a", None), (Why.DEPENDENCY_ADDED, "code/c.py", None, "sha256:a")]),
    ("an empty directory was added", put("dependencies", **{"code__sub__": "directory"}),
     [(Why.DEPENDENCY_ADDED, "code/sub/", None, "directory")]),
    ("a target is missing", RECORD._replace(targets={"model": MISSING, "payload": "sha256:p"}),
     [(Why.TARGET_MISSING, "model", None, None)]),
    ("a target was altered", put("targets", model__w="sha256:v"),
     [(Why.TARGET_ALTERED, "model/w", "sha256:w", "sha256:v")]),
    ("a file is missing in a target", put("targets", model__w=...),
     [(Why.TARGET_MISSING, "model/w", "sha256:w", None)]),
    ("a stray file is in a target", put("targets", model__z="sha256:z"),
     [(Why.TARGET_ALTERED, "model/z", None, "sha256:z")]),
    ("an editable target was edited", put("targets", payload="sha256:q"), []),
    ("an editable target is missing", put("targets", payload=MISSING), [(Why.TARGET_MISSING, "payload", None, None)]),
    ("the implementation changed", put("tools", **{"scripts__x_py": "sha256:y"}),
     [(Why.IMPLEMENTATION_CHANGED, "scripts/x.py", "sha256:x", "sha256:y")]),
    ("a parameter changed", put("params", depth=4), [(Why.PARAM_CHANGED, "depth", 3, 4)]),
    ("a parameter changed its type", put("params", depth=3.0), [(Why.PARAM_CHANGED, "depth", 3, 3.0)]),
    ("a parameter became true", RECORD._replace(params={"depth": True, "mode": None}),
     [(Why.PARAM_CHANGED, "depth", 3, True)]),
    ("a parameter was added", put("params", width=1), [(Why.PARAM_CHANGED, "width", None, 1)]),
    ("a parameter of no value was removed", put("params", mode=...), [(Why.PARAM_CHANGED, "mode", None, None)]),
    ("a program changed version", put("versions", uv="1.1"), [(Why.VERSION_CHANGED, "uv", "1.0", "1.1")]),
    ("the command changed", RECORD._replace(command="make that"), [(Why.COMMAND_CHANGED, "", "make it", "make that")]),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "reasons"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_decide_gives_exactly_these_reasons_when(seen: Seen, reasons: list[tuple[Why, str, object, object]]) -> None:
    verdict = decide(STEP, seen, RECORD)
    assert [(r.code, r.subject, r.old, r.new) for r in verdict.reasons] == reasons
    assert isinstance(verdict, Stale if reasons else UpToDate)


@pytest.mark.parametrize("why", [Why.NO_RECORD, Why.UNREADABLE_RECORD, Why.INTERRUPTED])
def test_decide_is_stale_when_there_is_no_record_to_trust(why: Why) -> None:
    assert decide(STEP, RECORD, Reason(why, "ledger.json is damaged")).reasons[0].code is why


def test_decide_collects_every_reason_when_several_things_changed() -> None:
    seen = put("params", depth=4)._replace(command="make that", versions={"uv": "2"})
    assert {reason.code for reason in decide(STEP, seen, RECORD).reasons} == {
        Why.PARAM_CHANGED,
        Why.COMMAND_CHANGED,
        Why.VERSION_CHANGED,
    }


def test_edited_names_the_editable_target_when_it_is_not_as_recorded() -> None:
    assert edited(STEP, put("targets", payload="sha256:q"), RECORD) == ("payload",)
    assert edited(STEP, RECORD, RECORD) == ()
    assert edited(STEP, put("targets", payload=MISSING), RECORD) == ()


def test_edited_keeps_in_doubt_when_there_is_no_record() -> None:
    assert edited(STEP, RECORD, Reason(Why.NO_RECORD)) == ("payload",)


def test_as_made_keeps_the_recorded_content_of_an_edited_target_so_that_it_stays_known_as_edited() -> None:
    seen = put("targets", payload="sha256:q", model__w="sha256:new")
    recorded = as_made(("payload",), seen, RECORD)
    assert recorded.targets == {"model/": "directory", "model/w": "sha256:new", "payload": "sha256:p"}
    assert edited(STEP, seen, recorded) == ("payload",)
    assert as_made(("payload",), seen, Reason(Why.NO_RECORD)).targets["payload"] == EDITED


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_reads_as_a_sentence(why: Why) -> None:
    text = Reason(why, "x.py", "sha256:" + "a" * 64, "sha256:" + "b" * 64).detail()
    assert text
    assert "{" not in text
    assert len(text) < 100
