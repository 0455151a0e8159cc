"""Our figures, laid out as the paper's."""

import pytest

from discotrace.analysis.outcome import ServiceTime
from discotrace.analysis.paper import bars as module
from discotrace.analysis.paper.bars import our_figures
from tests.unit.analysis.paper.made_up_bars import bar, result

IRIX = bar("irix", "native", user=30, user_stall=20, kernel=20, kernel_stall=10, sync=10, idle=10)
DISCO = bar("disco", user=30, user_stall=10, kernel=10, kernel_stall=10, sync=5, monitor_tlb=4, monitor_calls=6, idle=5)


def quantities(figure: str, workload: str, configuration: str) -> dict[str, float]:
    found = our_figures([result(figure, workload, IRIX, DISCO)])
    return {key[3]: value for key, value in found.items() if key[:3] == (figure, workload, configuration)}


def test_figure5__stalls_and_waiting_belong_to_who_has_them() -> None:
    irix = {"total": 100, "user": 50, "kernel": 40, "monitor": 0, "idle": 10}
    assert quantities("figure5", "pmake", "irix") == irix
    assert quantities("figure5", "pmake", "disco") == {"total": 80, "user": 40, "kernel": 25, "monitor": 10, "idle": 5}


def test_figure7__the_users_stalls_and_the_locks_stand_apart() -> None:
    found = quantities("figure7", "pmake", "disco")
    assert found == {"total": 80, "user": 30, "user_stall": 10, "kernel": 20, "sync": 5, "monitor": 10, "idle": 5}


def test_figure8__stalls_by_who_serves_them() -> None:
    found = quantities("figure8", "engineering", "disco")
    stalls = {"local_stall": 2, "remote_stall": 4}
    assert found == {"total": 80, "exec": 59, **stalls, "monitor": 10, "idle": 5, "local_share": 75}


def test_figure8__uniform_memory_is_all_local() -> None:
    uma = bar("uma", "native", user=30, user_stall=20)
    found = our_figures([result("figure8", "raytrace", IRIX, uma)])
    assert found["figure8", "raytrace", "uma", "local_share"] == 100
    assert found["figure8", "raytrace", "uma", "stall"] == 6
    assert ("figure8", "raytrace", "uma", "local_stall") not in found


def test_table3__actions_of_the_machine_per_second() -> None:
    assert quantities("table3", "engineering", "disco") == {"migrations": 5.0, "replications": 6.0}


def test_figure6__memory_of_processes_is_no_part_of_it() -> None:
    found = quantities("figure6", "pmake", "irix")
    assert found["machine_total"] == 11
    assert found["virtual_total"] == 15
    parts = ("data", "text", "buffer_cache", "monitor")
    assert [found[f"machine_{part}"] for part in parts] == [3, 1, 5, 2]


def test_table2__services_relative_to_irix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "service_parts_us", lambda bar: {"open": {"kernel": 3.0}})
    irix = bar("irix", services=(ServiceTime("open", 10, 4.0, 0.0), ServiceTime("read", 30, 4.0, 0.0)), kernel=1)
    disco = bar("disco", services=(ServiceTime("open", 10, 3.0, 2.0),), kernel=1)
    found = our_figures([result("table2", "pmake", irix, disco)])
    mine = {key[3]: value for key, value in found.items() if key[2] == "open"}
    assert mine == {"irix_share": 25, "irix_us": 4, "slowdown": 125, "kernel": 75}
    assert ("table2", "pmake", "read", "irix_us") not in found
