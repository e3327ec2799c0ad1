"""A cohort on a Ray cluster on the loopback: one node in every run of the tests, and heavy, nodes that are lost."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from model_side.base.errors import UsageError

ray = pytest.importorskip("ray", reason="needs the extra: make setup EXTRA=ray")
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("batch"), pytest.mark.filterwarnings("ignore")]
Run = Callable[..., int]
Write = Callable[..., Path]


@contextmanager
def cluster(head: int, nodes: int) -> Iterator[Any]:
    """Give a cluster whose head has so many processors, with other nodes of one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": head, "include_dashboard": False})
    try:
        made.nodes_to_lose = [made.add_node(num_cpus=1) for _ in range(nodes)]
        made.wait_for_nodes()
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def statuses(out: Path) -> list[tuple[str, str]]:
    with (out / "manifest.csv").open(newline="") as stream:
        return sorted((Path(row["input"]).stem, row["status"]) for row in csv.DictReader(stream))


def test_units_run_on_actors_and_a_bad_one_costs_itself_only(
    inputs: Write, run: Run, writes: Path, tmp_path: Path
) -> None:
    inputs(**{f"good{number}": str(number) for number in range(3)}, raises="raise gene")
    with cluster(head=2, nodes=0) as one:
        assert run(ray=one.address, manifest_format="csv", workers=2) == 1
        of_files = {"model_uri": str(writes), "inputs": str(tmp_path / "inputs" / "good2.in")}
        assert run(ray=one.address, out=str(tmp_path / "files"), **of_files) == 0
    assert (tmp_path / "files" / "good2.in.files" / "good2.in.out").read_text() == "2"
    assert statuses(tmp_path / "out") == [*((f"good{n}", "done") for n in range(3)), ("raises", "failed")]
    assert np.load(tmp_path / "out" / "good2.in.npy").tolist() == [[2, 1]]


@pytest.mark.heavy
def test_each_unit_is_recorded_once_where_a_node_is_lost_in_the_middle(inputs: Write, run: Run, tmp_path: Path) -> None:
    inputs(**{f"u{number}": str(number) for number in range(200)}, exits="exit 7")
    journal = tmp_path / "out" / ".batch" / "journal.jsonl"
    with cluster(head=0, nodes=2) as made:

        def lose() -> None:
            while not journal.is_file() or journal.read_bytes().count(b"\n") < 100:  # two lines for each unit
                os.sched_yield()
            made.remove_node(made.nodes_to_lose[0], allow_graceful=False)

        thread = Thread(target=lose)
        thread.start()
        assert run(ray=made.address, manifest_format="csv", workers=2) == 1
        thread.join()
        assert len(made.list_all_nodes()) == 2
    wanted = {("exits", "failed"): 1, **{(f"u{number}", "done"): 1 for number in range(200)}}
    assert Counter(statuses(tmp_path / "out")) == wanted


def test_address_without_a_cluster_is_refused_before_any_work(inputs: Write, run: Run, tmp_path: Path) -> None:
    inputs(a="1")
    with pytest.raises(UsageError, match="no cluster answers there"):
        run(ray="127.0.0.1:1")
    assert not (tmp_path / "out").exists()


def test_script_for_slurm_is_one_for_the_shell_and_each_flag_in_it_exists(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "batch.md").read_text()
    script = tmp_path / "job.sh"
    script.write_text(textwrap.dedent(page.partition("For `sbatch`:\n\n")[2].partition("\n\nSlurm ends")[0]))
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text().replace('"$CPUS"', "--num-cpus")
    programs = {
        "ray start": [str(Path(sys.executable).with_name("ray")), "start"],
        "ray status": [str(Path(sys.executable).with_name("ray")), "status"],
        "scripts/batch_predict.py": [sys.executable, str(Path(__file__).parents[2] / "scripts" / "batch_predict.py")],
    }
    for name, words in programs.items():
        told = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True).stdout
        flags = {
            flag for part in text.split(name)[1:] for flag in re.findall(r"--[a-z-]+", re.split(r"[;|&\n>]", part)[0])
        }
        assert flags
        assert {flag for flag in flags if flag not in told} == set()
