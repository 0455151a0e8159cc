"""The rules of the trace format (``docs/trace-format.md``), checked while rows stream by.

Rules that concern single rows are checked with whole-array operations. Only events are visited one by one, and only
those that change the state of the check: services, locks, address spaces.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.live_segments import NO_SEGMENT
from discotrace.tracegen.meta_rules import MetadataChecker
from discotrace.tracegen.pages import PlacedPages, kind_table, stretches, touched_pages
from discotrace.tracegen.schema import (
    KERNEL_ASID,
    KERNEL_BASE,
    LAST_REFERENCE,
    Kind,
    Privileged,
    Rows,
    Segment,
    Service,
    TraceMeta,
)

CHECK_ROWS = 1 << 17  # rows to check at once: enough to be fast, few enough for the cache

_KNOWN = kind_table(*Kind)
_PAGED = kind_table(Kind.ZERO_PAGE, Kind.FREE_PAGE)
_TOUCHING = kind_table(Kind.FETCH, Kind.LOAD, Kind.STORE, Kind.ZERO_PAGE, Kind.FREE_PAGE)
_SIZED = kind_table(Kind.ZERO_PAGE, Kind.FREE_PAGE, Kind.RESIDENT)
_FILED = kind_table(Kind.FILE_READ, Kind.FILE_WRITE, Kind.RESIDENT)
_STACKED = kind_table(Kind.ENTER, Kind.EXIT, Kind.LOCK, Kind.UNLOCK)
_SERVICES = frozenset(Service) - {Service.UTLB_MISS}
_UNSET = -1


class Violation(NamedTuple):
    """A broken rule: its name in ``docs/trace-format.md``, the row (from 0, of the whole trace) and what is wrong."""

    rule: str
    row: int
    message: str


class FormatChecker:
    """Checks the rows of one trace in order. ``meta`` may grow between calls, and in it the kernel's segments.

    Each rule is reported once, with its first offending row. After a violation the later reports of other rules may
    be consequences of it.
    """

    def __init__(self, meta: TraceMeta) -> None:
        self._meta = meta
        self._metadata = MetadataChecker(meta)
        self._pages = PlacedPages()
        self._lasts = np.zeros(0, np.uint64)  # last address of each segment
        self._kernel_segments: list[int] = []  # those that hold from the first record on
        self._mapped: dict[int, list[int]] = {}  # asid -> segments that were mapped by an event so far
        self._exited: set[int] = set()
        self._running = np.full(1 << 16, _UNSET, np.int64)  # asid on each CPU
        self._services: dict[int, list[tuple[int, int]]] = {}  # CPU -> open services, (service, row of ENTER)
        self._locks: set[tuple[int, int]] = set()  # (CPU, lock) held
        self._row = 0
        self._broken: set[str] = set()
        self._found: dict[str, Violation] = {}

    def check(self, rows: Rows) -> list[Violation]:
        """The rules that the next rows are the first to break, by row."""
        self._take_metadata()
        self._check_references(rows)
        self._check_events(rows)
        self._check_switches(rows)
        self._check_stacks(rows)
        self._check_spaces(rows)
        self._row += len(rows.kind)
        return self._report()

    def finish(self) -> list[Violation]:
        """The rules that the end of the trace breaks."""
        self._take_metadata()
        for cpu, services in self._services.items():
            for service, row in services:
                self._break("service", row - self._row, f"service {service} entered on CPU {cpu} is never left")
        return self._report()

    def _break(self, rule: str, place: int, message: str) -> None:
        """Notes a violation at row ``place`` of the current rows, if it is the first of its rule."""
        row = self._row + place
        if rule not in self._broken and (rule not in self._found or row < self._found[rule].row):
            self._found[rule] = Violation(rule, row, message)

    def _break_first(self, rule: str, bad: npt.NDArray[np.bool_], message: str) -> None:
        if bad.any():
            self._break(rule, int(bad.argmax()), message)

    def _report(self) -> list[Violation]:
        found = sorted(self._found.values(), key=lambda violation: violation.row)
        self._broken.update(self._found)
        self._found = {}
        return found

    def _take_metadata(self) -> None:
        """Checks what was appended to the metadata and lets new segments hold."""
        for fault in self._metadata.check()[:1]:
            self._break("metadata", 0, fault)
        known, segments = len(self._lasts), self._meta.segments
        self._take_longer_segments()
        if known == len(segments):
            return
        lasts = [_last_address(segment) for segment in segments[known:]]
        self._lasts = np.concatenate([self._lasts, np.array(lasts, np.uint64)])
        for number in range(known, len(segments)):
            if not segments[number].by_event:
                self._hold_from_first_record(number)

    def _take_longer_segments(self) -> None:
        """The kernel's window on a file becomes longer when the file does."""
        for number in self._kernel_segments:
            segment = self._meta.segments[number]
            if _last_address(segment) == self._lasts[number]:
                continue
            self._lasts[number] = _last_address(segment)
            self._pages.spaces.remove(number, segment)
            other = self._pages.spaces.add(number, segment)
            if other != NO_SEGMENT:
                self._break("metadata", 0, f"segment {number} has grown into segment {other}")

    def _hold_from_first_record(self, number: int) -> None:
        segment = self._meta.segments[number]
        self._pages.spaces.add(number, segment)
        if segment.asid == KERNEL_ASID:
            self._kernel_segments.append(number)
        for other in self._mapped.get(segment.asid, ()):
            if _overlap(segment.start, segment.end, self._meta.segments[other].start, self._meta.segments[other].end):
                self._break("metadata", 0, f"segment {number} overlaps segment {other}, which was mapped before")

    def _check_references(self, rows: Rows) -> None:
        """Rules kind, cpu, size and arg."""
        kind, size = rows.kind, rows.size
        self._break_first("kind", ~_KNOWN[kind], "there is no such kind")
        self._break_first("cpu", rows.vcpu >= self._meta.cpus, f"the trace has {self._meta.cpus} CPUs")
        reference = kind <= LAST_REFERENCE
        self._break_first("size", (size == 0) & reference, "a reference touches at least 1 byte")
        # vaddr + size - 1 overflows; the comparison cannot.
        beyond = (~rows.vaddr < size) & (size > 0) & reference
        if beyond.any():
            beyond &= ~rows.vaddr < size - np.uint32(1)
            self._break_first("size", beyond, "the reference runs past the end of the address space")
        wrong = ((kind == Kind.FETCH) == (rows.arg == 0)) & reference
        self._break_first("arg", wrong, "FETCH has arg >= 1, LOAD and STORE have arg 0")

    def _check_events(self, rows: Rows) -> None:
        """What rules privileged, file and page say of single rows."""
        places = np.flatnonzero(rows.kind > LAST_REFERENCE)
        if not len(places):
            return
        events = Rows._make(column[places] for column in rows)
        privileged = events.kind == Kind.PRIVILEGED
        wrong = np.flatnonzero(privileged & ((events.arg > max(Privileged)) | (events.size == 0)))
        if len(wrong):
            self._break("privileged", int(places[wrong[0]]), "expected a known class and size >= 1")
        of_file = _FILED[events.kind] & ~_is_resident_memory(events)
        for place in np.flatnonzero(of_file).tolist():
            if int(events.arg[place]) not in self._metadata.file_ids:
                self._break("file", int(places[place]), f"file {events.arg[place]} is not declared")
                break
        empty = np.flatnonzero(_SIZED[events.kind] & (events.size == 0))
        if len(empty):
            self._break("page", int(places[empty[0]]), "size is 0, expected at least 1")

    def _check_switches(self, rows: Rows) -> None:
        """Rule switch. Only the first rows of runs with equal vcpu and asid can break it."""
        starts = _run_starts(rows.vcpu, rows.asid)
        vcpu, asid = rows.vcpu[starts].astype(np.int64), rows.asid[starts].astype(np.int64)
        order = np.argsort(vcpu, kind="stable")
        ordered_vcpu, ordered_asid = vcpu[order], asid[order]
        before = np.empty(len(order), np.int64)
        before[1:] = ordered_asid[:-1]
        first = np.ones(len(order), np.bool_)
        first[1:] = ordered_vcpu[1:] != ordered_vcpu[:-1]
        before[first] = self._running[ordered_vcpu[first]]
        changed = (before != ordered_asid) & (before != _UNSET) & (rows.kind[starts[order]] != Kind.SWITCH)
        if changed.any():
            where = np.flatnonzero(changed)
            worst = where[np.argmin(starts[order[where]])]
            self._break(
                "switch",
                int(starts[order[worst]]),
                f"CPU {ordered_vcpu[worst]} ran asid {before[worst]} before, and this is not a SWITCH",
            )
        self._running[ordered_vcpu] = ordered_asid  # the last one of each CPU stays: numpy assigns in order

    def _check_stacks(self, rows: Rows) -> None:
        """Rules service and lock."""
        places = np.flatnonzero(_STACKED[rows.kind])
        columns = (places, rows.kind[places], rows.vcpu[places], rows.arg[places])
        for place, kind, cpu, arg in zip(*(column.tolist() for column in columns), strict=True):
            if kind == Kind.ENTER:
                self._enter(place, cpu, arg)
            elif kind == Kind.EXIT:
                self._exit(place, cpu, arg)
            elif kind == Kind.LOCK:
                if (cpu, arg) in self._locks:
                    self._break("lock", place, f"CPU {cpu} holds lock {arg} already")
                self._locks.add((cpu, arg))
            elif (cpu, arg) in self._locks:
                self._locks.remove((cpu, arg))
            else:
                self._break("lock", place, f"CPU {cpu} does not hold lock {arg}")

    def _enter(self, place: int, cpu: int, service: int) -> None:
        if service not in _SERVICES:
            self._break("service", place, f"service {service} cannot be entered, it is not one of the format's")
        self._services.setdefault(cpu, []).append((service, self._row + place))

    def _exit(self, place: int, cpu: int, service: int) -> None:
        stack = self._services.get(cpu)
        if not stack:
            self._break("service", place, f"CPU {cpu} leaves service {service} but has entered none")
        elif stack.pop()[0] != service:
            self._break("service", place, f"CPU {cpu} leaves service {service} but has entered another one last")

    def _check_spaces(self, rows: Rows) -> None:
        """Rules process, segment, page and map."""
        rows = _with_resident_pages(_with_wired_pages(rows))
        touched = touched_pages(rows, _TOUCHING)
        numbers = self._pages.index.numbers(touched.key, touched.vpn)
        runs = _run_starts(rows.asid)
        for start, stop, event in stretches(rows):
            self._check_processes(rows, runs, start, stop)
            self._check_first_pages(rows, numbers, start, stop)
            low, high = np.searchsorted(touched.longer, [start, stop])
            self._check_further_pages(rows, numbers, touched.longer[low:high])
            if event is not None:
                self._change_spaces(stop - 1, event)

    def _check_processes(self, rows: Rows, runs: npt.NDArray[np.int64], start: int, stop: int) -> None:
        low, high = np.searchsorted(runs, [start, stop - 1], side="right")
        places = np.concatenate([[start], runs[low:high]])
        for asid in np.unique(rows.asid[places]).tolist():
            if asid != KERNEL_ASID and (asid not in self._metadata.asids or asid in self._exited):
                place = int(places[np.flatnonzero(rows.asid[places] == asid)[0]])
                reason = "has exited" if asid in self._exited else "is not declared"
                self._break("process", place, f"process {asid} {reason}")

    def _check_first_pages(self, rows: Rows, numbers: npt.NDArray[np.int64], start: int, stop: int) -> None:
        numbers = numbers[start:stop]
        self._pages.place(numbers)
        outside = np.flatnonzero(self._pages.segment(numbers) == NO_SEGMENT)
        self._break_outside(rows, outside + start)

    def _check_further_pages(self, rows: Rows, numbers: npt.NDArray[np.int64], longer: npt.NDArray[np.int64]) -> None:
        """Rows that go on into another page than their first: most end in the same segment."""
        segment = self._pages.segment(numbers[longer])
        longer, segment = longer[segment != NO_SEGMENT], segment[segment != NO_SEGMENT]
        left = self._lasts[segment] - rows.vaddr[longer]  # bytes after the first up to the segment's end
        beyond = longer[rows.size[longer] - np.uint32(1) > left]
        outside = [place for place in beyond.tolist() if not self._is_covered(rows, place)]
        self._break_outside(rows, outside)

    def _is_covered(self, rows: Rows, place: int) -> bool:
        vaddr = int(rows.vaddr[place])
        key = int(rows.asid[place]) if vaddr < KERNEL_BASE else KERNEL_ASID
        return self._pages.spaces.covers(key, vaddr, vaddr + int(rows.size[place]) - 1)

    def _break_outside(self, rows: Rows, places: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Reports rows that do not lie in segments: the first reference and the first page event among them."""
        paged = _PAGED[rows.kind[places]] if len(places) else np.zeros(0, np.bool_)
        for rule, mask in (("segment", ~paged), ("page", paged)):
            if mask.any():
                place = int(places[int(mask.argmax())])
                vaddr, size = int(rows.vaddr[place]), int(rows.size[place])
                owner = f"asid {rows.asid[place]}" if vaddr < KERNEL_BASE else "the kernel"
                self._break(rule, place, f"no segment of {owner} holds all of {vaddr:#x} to {vaddr + size - 1:#x}")

    def _change_spaces(self, place: int, event: Rows) -> None:
        kind, asid = int(event.kind[0]), int(event.asid[0])
        if kind != Kind.PROCESS_EXIT:
            fault = self._map_or_unmap(kind, asid, int(event.vaddr[0]), int(event.arg[0]))
            if fault:
                self._break("map", place, fault)
        elif asid == KERNEL_ASID:
            self._break("process", place, "PROCESS_EXIT needs a process, asid is 0")
        else:
            self._exited.add(asid)
            self._pages.end_process(asid)

    def _map_or_unmap(self, kind: int, asid: int, vaddr: int, number: int) -> str:
        """Makes a segment hold or end; a sentence if that is against the rules, else an empty string."""
        if number >= len(self._meta.segments):
            return f"there is no segment {number}"
        segment = self._meta.segments[number]
        owner = asid if vaddr < KERNEL_BASE else KERNEL_ASID
        if (segment.asid, segment.start) != (owner, vaddr):
            return (
                f"segment {number} is at {segment.start:#x} of asid {segment.asid}, not at {vaddr:#x} of asid {owner}"
            )
        if kind == Kind.UNMAP:
            return "" if self._pages.end_segment(number, segment) else f"segment {number} does not hold"
        mapped = self._mapped.setdefault(segment.asid, [])
        if not segment.by_event or number in mapped:
            return f"segment {number} was mapped before" if segment.by_event else f"segment {number} is not by_event"
        mapped.append(number)
        other = self._pages.spaces.add(number, segment)
        return "" if other == NO_SEGMENT else f"segment {number} overlaps segment {other}, which holds"


def check_rows(meta: TraceMeta, rows: Rows) -> list[Violation]:
    """Checks a trace that is in memory."""
    checker = FormatChecker(meta)
    return checker.check(rows) + checker.finish()


def _with_wired_pages(rows: Rows) -> Rows:
    """The rows, those that wire a page made to look like a page event that touches its first byte."""
    wired = (rows.kind == Kind.PRIVILEGED) & (rows.arg == Privileged.WIRED) & (rows.vaddr != 0)
    if not wired.any():
        return rows
    kind = np.where(wired, np.uint8(Kind.FREE_PAGE), rows.kind)
    return rows._replace(kind=kind, size=np.where(wired, np.uint32(1), rows.size))


def _is_resident_memory(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which rows are RESIDENT rows of virtual addresses."""
    of_memory: npt.NDArray[np.bool_] = (rows.kind == Kind.RESIDENT) & (rows.arg == 0)
    return of_memory


def _with_resident_pages(rows: Rows) -> Rows:
    """The rows, those of resident virtual addresses made to look like page events."""
    resident = _is_resident_memory(rows)
    if not resident.any():
        return rows
    return rows._replace(kind=np.where(resident, np.uint8(Kind.FREE_PAGE), rows.kind))


def _run_starts(*columns: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.int64]:
    """Indices of the rows where any of the columns differs from the row before; the first row counts."""
    changed = np.ones(len(columns[0]), np.bool_)
    changed[1:] = False
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)


def _last_address(segment: Segment) -> int:
    """The last byte; unsound metadata may say that it is none of the address space."""
    return (segment.end - 1) & 0xFFFF_FFFF_FFFF_FFFF


def _overlap(start: int, end: int, other_start: int, other_end: int) -> bool:
    return start < other_end and other_start < end
