"""Options and configurations that are misspelt, out of range or impossible: one line on standard error, exit code 2."""

from pathlib import Path

import pytest

from discotrace.tracegen.schema import Kind
from tests.cli.running import USER, assert_refused, raw_trace, run, sample_trace

NOTHING_THERE = "counts.parquet"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "sample.parquet", steps=30)


BAD_CHANGES = [
    ("tlb.entires=64", "tlb.entires; did you mean entries?"),
    ("tbl.entries=64", "unknown table tbl; did you mean tlb?"),
    ("colour.depth=3", "unknown table colour; known: cpu, memory"),
    ("entries=64", "expected table.key=value"),
    ("tlb.entries", "expected table.key=value"),
    ("tlb.entries=", "tlb.entries is '', expected int"),
    ("tlb.entries=many", "tlb.entries is 'many', expected int"),
    ("tlb.entries='64'", "tlb.entries is '64', expected int"),
    ("tlb.entries=64.5", "tlb.entries is 64.5, expected int"),
    ("tlb.entries=true", "tlb.entries is True, expected int"),
    ("tlb.entries=0", "tlb.entries is 0, expected a positive number"),
    ("tlb.entries=-4", "tlb.entries is -4, expected a positive number"),
    ("tlb.entries=1000000000000", "tlb.entries is 1000000000000, expected at most"),
    ("tlb.wired=64", "tlb.wired is 64, expected fewer than the 64 entries"),
    ("tlb.pages_per_entry=4", "tlb.pages_per_entry is 4"),
    ("tlb.asid_bits=0", "tlb.asid_bits is 0"),
    ("l2.size_kib=0", "l2.size_kib is 0, expected a positive number"),
    ("l2.size_kib=1000", "expected a power of two"),
    ("l2.line_b=100", "l2.line_b is 100, expected a power of two"),
    ("l2.ways=0", "l2.ways is 0, expected a positive number"),
    ("l1d.line_b=256", "l1d.line_b is larger than l2.line_b"),
    ("l2.inclusive=1", "l2.inclusive is 1, expected bool"),
    ("l2.inclusive=false", "l2.inclusive = false needs cpu.count = 1, not 2"),
    ("memory.page_kib=6", "memory.page_kib is 6, expected a power of two"),
    ("memory.page_kib=2", "memory.page_kib is 2, expected at least 4"),
    ("memory.page_kib=65536", "memory.mib_per_node is less than one page"),
    ("memory.mib_per_node=0", "memory.mib_per_node is 0, expected a positive number"),
    ("memory.local_ns=-1", "memory.local_ns is -1, expected a number, zero or more"),
    ("memory.local_ns=nan", "memory.local_ns is nan, expected a number, zero or more"),
    ("memory.local_ns=inf", "memory.local_ns is inf, expected a number, zero or more"),
    ("memory.local_ns=near", "memory.local_ns is 'near', expected a number"),
    ("cpu.clock_mhz=0", "cpu.clock_mhz is 0, expected a positive number"),
    ("cpu.count=65", "cpu.count is 65, at most 64"),
    ("cpu.nodes=5000", "cpu.nodes is 5000, at most 1024"),
    ("cpu.nodes=1", "2 CPUs do not fit"),
    ("placement.native=disco", "placement.native is 'disco', expected one of round-robin, first-touch, random"),
    ("placement.policy=disko", "disko"),
    ("placement.disco=first-touch", "unknown key placement.disco"),
    ("vm.count=0", "vm.count is 0, expected a positive number"),
    ("vm.count=65", "vm.count is 65, at most 64"),
    ("vm.nfs=1", "vm.nfs is 1, expected bool"),
    ("guest.buffer_cache_percent=101", "guest.buffer_cache_percent is 101, expected at most 100"),
    ("disks.persistent=3", "disks.persistent is 3, expected list"),
    ("disks.persistent=[-1]", "disks.persistent has -1, expected numbers of disks"),
    ("monitor.kernel_page_kib=24", "monitor.kernel_page_kib is 24, expected a power of two"),
    ("migration.trigger=-1", "migration.trigger is -1, expected zero or more"),
    ("monitor.migration_us=-1", "monitor.migration_us is -1, expected a number, zero or more"),
    ("monitor.software_tlb_entries=1000", "software TLB entries in 1 ways gives 1000 sets, expected a power of two"),
]


@pytest.mark.parametrize(("change", "message"), BAD_CHANGES, ids=[change for change, _ in BAD_CHANGES])
def test_a_bad_change_is_refused(change: str, message: str, sample: str) -> None:
    assert_refused(run("replay", sample, "--set", change), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tlb\nentries = 64\n", "not valid TOML"),
        ("[tlb]\nentires = 64\n", "tlb.entires; did you mean entries?"),
        ("[tbl]\nentries = 64\n", "unknown table [tbl]; did you mean tlb?"),
        ("tlb = 64\n", "tlb is 64, expected a table"),
        ("[tlb]\nentries = 64\n", "is missing"),
        ("", "is missing"),
    ],
)
def test_a_bad_machine_file_is_refused(text: str, message: str, sample: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text(text)
    assert_refused(run("replay", sample, "-m", str(path)), message)
    assert_refused(run("show-config", "-m", str(path)), message)


def test_a_value_in_place_of_a_table_is_refused_even_when_it_is_changed(sample: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.toml"
    path.write_text("tlb = 64\n")
    assert_refused(run("replay", sample, "-m", str(path), "--set", "tlb.entries=64"), "tlb is 64, expected a table")


@pytest.mark.parametrize("machine", ["flesh", "/", ""])
def test_an_unknown_machine_is_refused(machine: str, sample: str) -> None:
    assert_refused(run("replay", sample, "-m", machine), "neither a preset (epyc7543, flash, uma) nor a readable")


def test_a_machine_file_that_is_not_text_is_refused(sample: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes(b"\xff\xfe\x00")
    assert_refused(run("replay", sample, "-m", str(tmp_path / "m.toml")), "not UTF-8 text")


@pytest.mark.parametrize(
    ("systems", "message"),
    [("vmware", "unknown system 'vmware'; known: native, disco, splashos"), ("", "no system"), (",", "no system")],
)
def test_an_unknown_system_is_refused(systems: str, message: str, sample: str) -> None:
    assert_refused(run("replay", sample, "--system", systems), message)


@pytest.mark.parametrize("vms", ["0", "-1", "65"])
def test_an_impossible_number_of_virtual_machines_is_refused(vms: str, sample: str) -> None:
    assert_refused(run("replay", sample, "--vms", vms), f"vm.count is {vms}")
    assert_refused(run("explain", "hot", sample, "--vms", vms), f"vm.count is {vms}")
    assert_refused(run("memory", sample, "--vms", f"1,{vms}"), f"--vms is '1,{vms}', expected numbers from 1 to 64")


@pytest.mark.parametrize("vms", ["", "two", "1,,2", "1.5", "9" * 5000])
def test_numbers_of_virtual_machines_that_are_none_are_refused(vms: str, sample: str) -> None:
    assert_refused(run("memory", sample, "--vms", vms), "--vms is '", "expected numbers from 1 to 64")


@pytest.mark.parametrize(
    ("crash", "message"),
    [
        ("2", "expected vm=NUMBER,at=PERCENT%, for example vm=2,at=50%"),
        ("vm=1,at=50", "expected vm=NUMBER"),
        ("vm=-1,at=50%", "expected vm=NUMBER"),
        ("vm=1,at=-5%", "expected vm=NUMBER"),
        ("vm=1,at=100.5%", "100.5% lies behind the end"),
        ("vm=4,at=50%", "there is no VM 4, they are 0 to 3"),
    ],
)
def test_an_impossible_crash_is_refused(crash: str, message: str, sample: str) -> None:
    assert_refused(run("replay", sample, "--vms", "4", "--crash", crash), f"--crash {crash!r}", message)


def test_the_nfs_server_cannot_crash(sample: str) -> None:
    arguments = ("replay", sample, "--nfs", "--crash", "vm=0,at=50%")
    assert_refused(run(*arguments, "--vms", "2"), "VM 0 is the NFS server")
    assert run(*arguments).code == 0, "alone it serves nobody"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("hottest", "expected ASID:0xADDRESS"),
        ("1:400000", "expected ASID:0xADDRESS"),
        ("kernel:0x400000", "the address is one of processes"),
        ("1:0xffffffff80000000", "the address is one of the kernel"),
        ("1:0x7fff0000", "no CPU missed on it under this name"),
        ("kernel9:0xffffffff80000000", "no CPU missed on it under this name"),
    ],
)
def test_a_page_that_is_none_is_refused(page: str, message: str, sample: str) -> None:
    assert_refused(run("explain", page, sample), f"page {page}" if "missed" in message else f"page '{page}'", message)


def test_there_are_no_histories_without_a_monitor(sample: str) -> None:
    assert_refused(run("explain", "hot", sample, "-s", "native"), "'native'; known: disco, splashos")


@pytest.mark.parametrize("window", ["0", "-5", str(10**30)])
def test_an_impossible_window_is_refused(window: str, sample: str) -> None:
    assert_refused(run("replay", sample, "--window", window), f"--window is {window}")


def test_a_trace_that_needs_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    records = [(0, 1, Kind.LOAD, USER, 1 << 20, 0), (0, 2, Kind.LOAD, USER, 1 << 20, 0)]
    path = raw_trace(tmp_path / "t.parquet", records)
    fits = ("replay", path, "--set", "cpu.count=1", "--set")
    assert run(*fits, "memory.mib_per_node=3").code == 0
    ended = run(*fits, "memory.mib_per_node=1", "-o", str(tmp_path / NOTHING_THERE))
    assert_refused(ended, "out of memory: all 1 nodes of 1 MiB are full", "memory.mib_per_node")
    assert not (tmp_path / NOTHING_THERE).exists()


def test_a_machine_that_this_computer_cannot_hold_is_refused(sample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def replay_systems(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("discotrace.analysis.replayed.replay_systems", replay_systems)
    assert_refused(run("replay", sample), "not enough memory")
