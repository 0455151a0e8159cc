"""The engineering workload as a trace: valid, repeatable, in mid-life from the first row to the last."""

from pathlib import Path

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.rules import check_rows
from discotrace.tracegen.schema import Kind, Rows, Service, TraceMeta, concat_rows
from discotrace.tracegen.workloads.engineering import Engineering
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.stage import Stage

SMALL = {"modules": 20, "module_gates": 60, "memory_mib": 4, "window": 500}


def run(workload: Engineering) -> tuple[TraceMeta, Rows]:
    """A trace in memory."""
    meta = TraceMeta(workload.cpu_count)
    parts: list[Rows] = []
    stage = Stage(meta, parts.append)
    workload.start(stage)
    stage.run()
    return meta, concat_rows(parts)


def instructions(rows: Rows, user: bool) -> int:
    run = (rows.kind == Kind.FETCH) & ((rows.vaddr < 2**63) == user)
    return int(rows.arg[run].sum(dtype=np.int64))


def test_the_trace_keeps_the_rules_of_the_format() -> None:
    meta, rows = run(Engineering(scale=0.004))
    assert check_rows(meta, rows) == []


def test_several_instances_on_several_cpus_keep_the_rules() -> None:
    meta, rows = run(Engineering(cpus=4, instances=2, scale=0.0005, **SMALL))
    assert check_rows(meta, rows) == []
    assert {process.instance for process in meta.processes} == {0, 1}
    for process in meta.processes:
        assert set(rows.vcpu[rows.asid == process.asid].tolist()) <= {2 * process.instance, 2 * process.instance + 1}


def test_eight_cpus_run_six_and_six_that_share_their_text() -> None:
    meta, _ = run(Engineering(cpus=8, scale=0.0005, **SMALL))
    assert [process.name for process in meta.processes] == ["gates"] * 6 + ["memory"] * 6
    text = [meta.files[s.object - 1].name for s in meta.segments if s.asid and s.backing == "file"]
    assert sorted(text) == ["/usr/flashlite"] * 6 + ["/usr/vcs/netlist"] * 6


def test_processes_run_before_and_after_the_trace() -> None:
    meta, rows = run(Engineering(scale=0.004))
    entered = set(rows.arg[rows.kind == Kind.ENTER].tolist())
    assert not entered & {Service.DEMAND_ZERO, Service.QUICK_FAULT, Service.PAGE_IN, Service.EXIT, Service.FORK}
    assert not np.isin(rows.kind, (Kind.IDLE, Kind.PROCESS_EXIT, Kind.ZERO_PAGE)).any()
    found = {meta.files[file - 1].name for file in rows.arg[(rows.kind == Kind.RESIDENT) & (rows.asid > 0)].tolist()}
    assert found == {"/usr/vcs/netlist", "/usr/flashlite"}


def test_what_is_written_goes_on_with_files_begun_long_ago() -> None:
    """Whole pages behind the beginning, one after the other: no file is made, and no page is read for its rest."""
    _, rows = run(Engineering(scale=0.004))
    written = rows.kind == Kind.FILE_WRITE
    assert written.any()
    assert not (rows.vaddr[written] % 4096).any()
    assert not (rows.size[written] % 4096).any()
    for file in np.unique(rows.arg[written]):
        offsets = rows.vaddr[written & (rows.arg == file)].tolist()
        assert offsets == list(range(1 << 20, (1 << 20) + 8192 * len(offsets), 8192))


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(Engineering(scale=0.0005, seed=seed, **SMALL), "engineering", tmp_path / name, version="1")
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_scale_changes_the_length_and_not_what_is_done() -> None:
    (short_meta, short), (long_meta, long) = (run(Engineering(scale=scale)) for scale in (0.004, 0.012))
    assert instructions(long, True) == pytest.approx(3 * instructions(short, True), rel=0.15)
    short_rate, long_rate = (len(rows.kind) / instructions(rows, True) for rows in (short, long))
    assert long_rate == pytest.approx(short_rate, rel=0.1)
    sizes = [{(s.start, s.end) for s in meta.segments if s.asid} for meta in (short_meta, long_meta)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("knobs", [{"modules": 0}, {"local": 1.5}, {"window": 10**6}, {"activity": 0.0}, {"burst": 0}])
def test_knobs_out_of_range_are_named(knobs: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(knobs))):
        Engineering(**knobs)  # type: ignore[arg-type]
