"""A cohort on a Ray cluster of two nodes on the loopback, real ones."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_side.base.errors import UsageError

ray = pytest.importorskip("ray", reason="needs the extra: make setup EXTRA=ray")
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]
Run = Callable[..., int]
Write = Callable[..., Path]


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Give a cluster whose head has no processor, so that another node can be lost, and two nodes with one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        made.nodes_to_lose = [made.add_node(num_cpus=1) for _ in range(2)]
        made.wait_for_nodes()
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def statuses(out: Path) -> list[tuple[str, str]]:
    with (out / "manifest.csv").open(newline="") as stream:
        return sorted((Path(row["input"]).stem, row["status"]) for row in csv.DictReader(stream))


def test_units_run_on_actors_and_a_bad_one_costs_itself_only(
    cluster: Any, inputs: Write, run: Run, tmp_path: Path
) -> None:
    good = {f"good{number}": str(number) for number in range(6)}
    inputs(**good, raises="raise gene", exits="exit 7")
    assert run(ray=cluster.address, manifest_format="csv", workers=2) == 1
    wanted = [("exits", "failed"), *((name, "done") for name in good), ("raises", "failed")]
    assert statuses(tmp_path / "out") == wanted
    assert np.load(tmp_path / "out" / "good3.in.npy").tolist() == [[3, 1]]


@pytest.mark.heavy
def test_each_unit_is_recorded_once_where_a_node_is_lost_in_the_middle(
    cluster: Any, inputs: Write, run: Run, tmp_path: Path
) -> None:
    from threading import Thread

    inputs(**{f"u{number}": str(number) for number in range(200)})
    journal = tmp_path / "out" / ".batch" / "journal.jsonl"

    def lose() -> None:
        while not journal.is_file() or journal.read_bytes().count(b"\n") < 100:  # two lines for each unit
            os.sched_yield()
        cluster.remove_node(cluster.nodes_to_lose[0], allow_graceful=False)

    thread = Thread(target=lose)
    thread.start()
    assert run(ray=cluster.address, manifest_format="csv", workers=2) == 0
    thread.join()
    assert len(cluster.list_all_nodes()) == 2
    assert Counter(statuses(tmp_path / "out")) == {(f"u{number}", "done"): 1 for number in range(200)}


def test_address_without_a_cluster_is_refused_before_any_work(inputs: Write, run: Run, tmp_path: Path) -> None:
    inputs(a="1")
    with pytest.raises(UsageError, match="no cluster answers there"):
        run(ray="127.0.0.1:1")
    assert not (tmp_path / "out").exists()
