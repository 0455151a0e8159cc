"""Names of pages, and their histories out of what a replay wrote down."""

import pytest

from discotrace.analysis.page_history import Histories, Page, file_page, page_name, page_of, page_text
from discotrace.analysis.page_report import head_of
from discotrace.monitor.history import Action
from discotrace.replay.mappings import PAGE_TABLE_KEY, kernel_key
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import KSEG0_START, File, Process, Segment, TraceMeta

PAGE = 4096
META = TraceMeta(
    cpus=2,
    processes=[Process(7, "cc1"), Process(8, "as")],
    segments=[
        Segment(7, 0x10000, 0x20000, "file", 1, offset=0x3000, writable=False),
        Segment(8, 0x10000, 0x20000, "file", 1, writable=True),
        Segment(0, KSEG0_START, KSEG0_START + 0x2000, "file", 2, writable=False),
    ],
    files=[File(1, "/bin/cc1", 1 << 20), File(2, "/unix", 1 << 20)],
)
KERNEL_PAGE = KSEG0_START // PAGE


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("7:0x12345", (7, 0x12)),
        ("7:0x12000", (7, 0x12)),
        ("4294967295:0x0", (4294967295, 0)),
        ("kernel:0xffffffff80000fff", (0, KERNEL_PAGE)),
        ("kernel0:0xffffffff80000000", (0, KERNEL_PAGE)),
        ("KERNEL3:0xFFFFFFFF80000000", (kernel_key(3), KERNEL_PAGE)),
    ],
)
def test_page_of__knows_processes_and_kernels(text: str, page: Page) -> None:
    assert page_of(text, PAGE) == page


@pytest.mark.parametrize("text", ["", "7", "0x1000", "7:12345", "7:0x", "7:0xg", "-7:0x1000", "kernelx:0x1", "7:0x1 "])
def test_page_of__refuses_what_names_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected ASID:0xADDRESS, kernel:0xADDRESS"):
        page_of(text, PAGE)


@pytest.mark.parametrize(("text", "owner"), [("7:0xffffffff80000000", "the kernel"), ("kernel:0x1000", "processes")])
def test_page_of__refuses_an_address_of_the_other_kind(text: str, owner: str) -> None:
    with pytest.raises(ConfigError, match=f"the address is one of {owner}"):
        page_of(text, PAGE)


@pytest.mark.parametrize("text", ["7:0x12000", "kernel:0xffffffff80000000", "kernel3:0xffffffff80000000"])
def test_page_text__is_what_page_of_reads(text: str) -> None:
    assert page_text(page_of(text, PAGE), PAGE) == text


@pytest.mark.parametrize(
    ("page", "text", "name"),
    [
        ((7, 0x12), "7:0x12000", "process 7 (cc1) 0x12000"),
        ((kernel_key(1), KERNEL_PAGE), "kernel1:0xffffffff80000000", "kernel of VM 1 0xffffffff80000000"),
        ((7 + PAGE_TABLE_KEY, 3), "page table 3 of 7", "page table 3 of process 7 (cc1)"),
        ((PAGE_TABLE_KEY, 3), "page table 3 of kernel", "page table 3 of kernel of VM 0"),
    ],
)
def test_names_of_pages(page: Page, text: str, name: str) -> None:
    assert page_text(page, PAGE) == text
    assert page_name(page, META, PAGE) == name


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ((7, 0x10), "/bin/cc1, page 3"),
        ((7, 0x1F), "/bin/cc1, page 18"),
        ((7, 0x20), ""),
        ((8, 0x10), ""),
        ((kernel_key(2), KERNEL_PAGE + 1), "/unix, page 1"),
        ((7 + PAGE_TABLE_KEY, 0x10), ""),
    ],
)
def test_file_page__pages_of_private_segments_and_of_page_tables_have_none(page: Page, file: str) -> None:
    assert file_page(page, META, PAGE) == file


def action(row: int, what: str, *pages: Page) -> Action:
    return Action(row, 10 * row, 1, 0, what, pages, (), 0, (1,), "because", (1, 4), (0, 0))


A, B, C, D = (7, 0x10), (8, 0x40), (8, 0x41), (7, 0x90)
MISSES = {A: [5, 0], B: [1, 6], C: [3, 3], D: [0, 9]}
HISTORIES = Histories(
    [action(1, "migrated", A), action(2, "replicated", A, B), action(3, "collapsed", C)], MISSES, META, PAGE
)


def test_of__actions_are_those_that_the_page_had_a_part_in() -> None:
    assert [one.row for one in HISTORIES.of(A).actions] == [1, 2]
    assert [one.row for one in HISTORIES.of(B).actions] == [2]
    assert HISTORIES.of(A).times == {"migrated": 1, "replicated": 1}


def test_of__pages_that_shared_a_frame_with_it_are_named_and_their_misses_added() -> None:
    of_b = HISTORIES.of(B)
    assert of_b.names == ["process 8 (as) 0x40000", "process 7 (cc1) 0x10000"]
    assert of_b.file == "/bin/cc1, page 3"
    assert of_b.misses == [6, 6]


def test_of__a_page_that_was_only_missed_on_has_no_actions() -> None:
    assert (HISTORIES.of(D).misses, HISTORIES.of(D).actions) == ([0, 9], [])


def test_of__a_page_without_misses_of_its_own_has_those_of_its_actions() -> None:
    histories = Histories([action(1, "migrated", A)], {}, META, PAGE)
    assert (histories.of(A).misses, len(histories.of(A).actions)) == ([], 1)


def test_of__an_unknown_page_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"page 7:0x99000: no CPU missed on it under this name"):
        HISTORIES.of((7, 0x99))


def test_hottest__most_misses_first_and_shared_pages_once() -> None:
    assert [one.page for one in HISTORIES.hottest(10)] == ["8:0x40000", "7:0x90000", "8:0x41000"]
    assert [sum(one.misses) for one in HISTORIES.hottest(10)] == [12, 9, 6]
    assert len(HISTORIES.hottest(2)) == 2


def test_hottest__of_nothing_is_nothing() -> None:
    assert Histories([], {}, META, PAGE).hottest(10) == []


def test_head__names_a_page_and_its_misses() -> None:
    assert head_of(HISTORIES.of(B)) == [
        "page 8:0x40000 (/bin/cc1, page 3)",
        "    process 8 (as) 0x40000",
        "    process 7 (cc1) 0x10000",
        "L2 misses: CPU 0 6, CPU 1 6",
    ]


def test_head__of_many_names_the_first_stand_there() -> None:
    many = Histories([action(1, "replicated", *((7, vpn) for vpn in range(20)))], {}, META, PAGE)
    assert head_of(many.of((7, 0)))[-2:] == ["    and 12 more", "L2 misses: none"]
