"""What ``discotrace info`` says of a trace: counts, footprint, service mix, working set. One pass, bounded memory."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.pages import PAGE_BYTES, PAGE_SHIFT, PlacedPages, kind_table, stretches, touched_pages
from discotrace.tracegen.schema import (
    KERNEL_BASE,
    KSEG2_START,
    XKPHYS_END,
    XKPHYS_START,
    Kind,
    Rows,
    Segment,
    Service,
    TraceMeta,
)
from discotrace.tracegen.sharing import Content, PageClass, Sharing, SharingCount

SLICES = 60  # stretches of the trace for which the working set is told: about as many as a terminal shows
PAGE_KIB = PAGE_BYTES // 1024
USER = 0  # the context outside all services

_TOUCHING = kind_table(Kind.FETCH, Kind.LOAD, Kind.STORE, Kind.ZERO_PAGE)
_EXECUTING = kind_table(Kind.FETCH, Kind.ZERO_PAGE)
_NESTING = kind_table(Kind.ENTER, Kind.EXIT)


@dataclass(frozen=True)
class Footprint:
    """Pages touched in one sort of segment.

    ``virtual_kib`` counts a page once for each address space in which it was touched, ``distinct_kib`` once for each
    identity (two processes that run one program share its text).
    """

    sort: str
    virtual_kib: int
    distinct_kib: int


@dataclass(frozen=True)
class ServiceUse:
    """How often a service was entered, and the instructions for which it was the innermost one."""

    service: int
    entries: int
    instructions: int

    @property
    def name(self) -> str:
        """The service in small letters; a trace that breaks the format may have one without a name."""
        return {one.value: one.name.lower() for one in Service}.get(self.service, f"service_{self.service}")


@dataclass(frozen=True)
class WorkingSet:
    """Virtual KiB touched in each stretch of ``slice_records`` records; code is what was executed there.

    A page counts once for each address space, as in ``Footprint.virtual_kib``.
    ``instructions`` of the trace in each stretch say how long it is.
    """

    slice_records: int
    instructions: list[int]
    user_code_kib: list[int]
    user_data_kib: list[int]
    kernel_kib: list[int]


@dataclass(frozen=True)
class Summary:
    """A trace in numbers. Instructions are those of FETCH and ZERO_PAGE records, as in ``docs/model.md``, section 9."""

    records: int
    records_by_kind: dict[Kind, int]
    instructions: int
    idle_instructions: int
    instructions_by_cpu: list[int]
    instructions_by_asid: dict[int, int]
    footprint: list[Footprint]
    sharing: list[Sharing]
    services: list[ServiceUse]
    user_instructions: int
    working_set: WorkingSet

    @property
    def original_references(self) -> int:
        """References of the traced programs: instructions, and rows of LOAD and STORE."""
        return self.instructions + self.records_by_kind[Kind.LOAD] + self.records_by_kind[Kind.STORE]


class Summarizer:
    """Takes the rows of a trace in order. ``records`` is their number in all, from which the slices follow.

    The trace is taken to be sound: pages outside all segments are not counted, and what ``validate`` refuses gives
    no error here.
    """

    def __init__(self, meta: TraceMeta, records: int) -> None:
        self._pages = PlacedPages()
        self._counts = _Counts()
        self._services = _ServiceMix()
        self._footprint = _FootprintCount(meta.segments, self._pages)
        self._sharing = SharingCount(meta.segments, self._pages)
        self._working_set = _WorkingSetCount(max(1, -(-records // SLICES)), self._pages)
        self._cpus = meta.cpus

    def add(self, rows: Rows) -> None:
        """Takes the next rows."""
        instructions = np.where(_EXECUTING[rows.kind], rows.arg, np.uint32(0)).astype(np.int64)
        self._counts.add(rows, instructions)
        self._services.add(rows, instructions)
        touched = touched_pages(rows, _TOUCHING)
        numbers = self._pages.index.numbers(touched.key, touched.vpn)
        further = _further_pages(rows, touched.longer)
        every = np.arange(len(numbers))
        more = [(places, self._pages.index.numbers(touched.key[places], vpn)) for places, vpn in further]
        at, pages = _in_order([(every, numbers), *more])
        for start, stop, event in stretches(rows):
            low, high = np.searchsorted(at, [start, stop])
            self._sharing.place(self._footprint.add(pages[low:high]))
            self._sharing.add(rows, at[low:high], pages[low:high])
            if event is not None:
                self._footprint.change(event)
        self._sharing.end_batch(rows)
        self._working_set.add(rows.kind == Kind.FETCH, instructions, numbers, more)

    def finish(self) -> Summary:
        """The summary of all rows taken."""
        by_cpu = self._counts.instructions_by_cpu
        return Summary(
            records=int(self._counts.kinds.sum()),
            records_by_kind={kind: int(self._counts.kinds[kind]) for kind in Kind},
            instructions=sum(by_cpu.values()),
            idle_instructions=self._counts.idle_instructions,
            instructions_by_cpu=[by_cpu[cpu] for cpu in range(self._cpus)],
            instructions_by_asid=dict(sorted(self._counts.instructions_by_asid.items())),
            footprint=self._footprint.finish(),
            sharing=self._sharing.finish(),
            services=self._services.finish(),
            user_instructions=self._services.instructions[USER],
            working_set=self._working_set.finish(),
        )

    def classes_of_pages(self) -> dict[Content, PageClass]:
        """How the CPUs share each page that was touched so far."""
        return self._sharing.classes()


def _in_order(
    touches: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Several (rows, pages that they touch) as one, in the order of the rows."""
    at = np.concatenate([rows for rows, _ in touches])
    order = np.argsort(at, kind="stable")
    return at[order], np.concatenate([pages for _, pages in touches])[order]


def _further_pages(
    rows: Rows, longer: npt.NDArray[np.int64]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]]:
    """The pages after the first of rows that touch several: (rows, page of each) for the second, the third, ..."""
    further = []
    first = rows.vaddr[longer] >> np.uint64(PAGE_SHIFT)
    last = (rows.vaddr[longer] + (rows.size[longer] - np.uint32(1))) >> np.uint64(PAGE_SHIFT)
    while len(longer):
        first = first + np.uint64(1)
        further.append((longer, first))
        on = first < last
        longer, first, last = longer[on], first[on], last[on]
    return further


class _Counts:
    """Records by kind, instructions by CPU and by process."""

    def __init__(self) -> None:
        self.kinds = np.zeros(256, np.int64)
        self.instructions_by_cpu: Counter[int] = Counter()
        self.instructions_by_asid: Counter[int] = Counter()
        self.idle_instructions = 0

    def add(self, rows: Rows, instructions: npt.NDArray[np.int64]) -> None:
        self.kinds += np.bincount(rows.kind, minlength=256)
        self.idle_instructions += int(rows.size[rows.kind == Kind.IDLE].sum(dtype=np.int64))
        changed = np.ones(len(rows.kind), np.bool_)
        changed[1:] = (rows.vcpu[1:] != rows.vcpu[:-1]) | (rows.asid[1:] != rows.asid[:-1])
        starts = np.flatnonzero(changed)
        runs = np.add.reduceat(instructions, starts)
        _add_by(self.instructions_by_cpu, rows.vcpu[starts], runs)
        _add_by(self.instructions_by_asid, rows.asid[starts], runs)


def _add_by(
    counter: Counter[int], keys: npt.NDArray[np.uint16] | npt.NDArray[np.uint32], values: npt.NDArray[np.int64]
) -> None:
    distinct, place = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, place, values)
    for key, value in zip(distinct.tolist(), sums.tolist(), strict=True):
        counter[key] += value


class _ServiceMix:
    """Entries of services, and instructions by the innermost service that is open on their CPU."""

    def __init__(self) -> None:
        self.entries: Counter[int] = Counter()
        self.instructions: Counter[int] = Counter()
        self._open: dict[int, list[int]] = {}

    def add(self, rows: Rows, instructions: npt.NDArray[np.int64]) -> None:
        """Sorted by CPU, the records of a CPU between two ENTER or EXIT records are one context."""
        order = np.argsort(rows.vcpu, kind="stable")
        vcpu, kind = rows.vcpu[order], rows.kind[order]
        cuts = _NESTING[kind]
        cuts[0] = True
        cuts[1:] |= vcpu[1:] != vcpu[:-1]
        places = np.flatnonzero(cuts)
        sums = np.add.reduceat(instructions[order], places)
        columns = (vcpu[places], kind[places], rows.arg[order[places]], sums)
        for cpu, kind_, service, executed in zip(*(column.tolist() for column in columns), strict=True):
            stack = self._open.setdefault(cpu, [USER])
            if kind_ == Kind.ENTER:
                stack.append(service)
                self.entries[service] += 1
            elif kind_ == Kind.EXIT and len(stack) > 1:
                stack.pop()
            self.instructions[stack[-1]] += executed

    def finish(self) -> list[ServiceUse]:
        return [ServiceUse(s, self.entries[s], self.instructions[s]) for s in sorted(self.entries)]


class _FootprintCount:
    """Distinct pages by sort of segment."""

    def __init__(self, segments: list[Segment], pages: PlacedPages) -> None:
        self._segments = segments
        self._pages = pages
        self._virtual: Counter[str] = Counter()
        self._private: Counter[str] = Counter()
        self._shared: dict[str, set[tuple[str, int, int]]] = {}
        for number, segment in enumerate(segments):
            if not segment.by_event:
                pages.spaces.add(number, segment)

    def add(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Counts pages that were not known to lie in a segment before, and returns them."""
        placed = self._pages.place(numbers)
        by_segment = self._pages.segment(placed)
        for number in np.unique(by_segment).tolist():
            self._count(self._segments[number], self._pages.index.vpn[placed[by_segment == number]])
        return placed

    def _count(self, segment: Segment, vpn: npt.NDArray[np.uint64]) -> None:
        sort = sort_of_segment(segment)
        self._virtual[sort] += len(vpn)
        if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
            self._private[sort] += len(vpn)
            return
        page_of_object = (segment.offset - segment.start) >> PAGE_SHIFT
        known = self._shared.setdefault(sort, set())
        known.update((segment.backing, segment.object, page + page_of_object) for page in vpn.tolist())

    def change(self, event: Rows) -> None:
        kind, number = int(event.kind[0]), int(event.arg[0])
        if kind == Kind.PROCESS_EXIT:
            self._pages.end_process(int(event.asid[0]))
        elif number < len(self._segments):
            if kind == Kind.MAP:
                self._pages.spaces.add(number, self._segments[number])
            else:
                self._pages.end_segment(number, self._segments[number])

    def finish(self) -> list[Footprint]:
        return [
            Footprint(
                sort,
                self._virtual[sort] * PAGE_KIB,
                (self._private[sort] + len(self._shared.get(sort, ()))) * PAGE_KIB,
            )
            for sort in SORTS
            if self._virtual[sort]
        ]


SORTS = (
    "user_text",
    "user_file_private",
    "user_anonymous",
    "user_shared",
    "kernel_text_and_data",
    "kernel_file_windows",
    "kernel_stacks",
)


def sort_of_segment(segment: Segment) -> str:
    """One of SORTS: user segments by their backing, kernel segments by their address region."""
    if segment.start >= KERNEL_BASE:
        if XKPHYS_START <= segment.start < XKPHYS_END:
            return "kernel_file_windows"
        return "kernel_stacks" if segment.start >= KSEG2_START else "kernel_text_and_data"
    if segment.backing == "file":
        return "user_file_private" if segment.writable else "user_text"
    return f"user_{segment.backing}"


class _WorkingSetCount:
    """Distinct pages of each slice: every page remembers the last slice that touched it."""

    def __init__(self, slice_records: int, pages: PlacedPages) -> None:
        self._slice_records = slice_records
        self._pages = pages
        self._last = np.zeros(1024, np.int32)
        self._last_fetched = np.zeros(1024, np.int32)
        self._slice = 1
        self._row = 0  # of the current slice
        self._in_slice = 0  # instructions
        self._instructions: list[int] = []
        self._user_code_kib: list[int] = []
        self._user_data_kib: list[int] = []
        self._kernel_kib: list[int] = []

    def add(
        self,
        is_fetch: npt.NDArray[np.bool_],
        instructions: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int64],
        further: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    ) -> None:
        """``numbers``: first page of each row; ``further``: (rows, pages) for those that touch more."""
        if self._pages.index.count > len(self._last):
            room = np.zeros(2 * self._pages.index.count, np.int32)
            self._last = np.concatenate([self._last, room])
            self._last_fetched = np.concatenate([self._last_fetched, room])
        start = 0
        while start < len(numbers):
            stop = min(len(numbers), start + self._slice_records - self._row)
            self._last[numbers[start:stop]] = self._slice
            self._last_fetched[numbers[start:stop][is_fetch[start:stop]]] = self._slice
            for places, more in further:
                low, high = np.searchsorted(places, [start, stop])
                self._last[more[low:high]] = self._slice
            self._in_slice += int(instructions[start:stop].sum())
            self._row += stop - start
            start = stop
            if self._row == self._slice_records:
                self._end_slice()

    def _end_slice(self) -> None:
        # Number 0 is no page; it stands for the rows that touch none.
        touched = np.flatnonzero(self._last[1 : self._pages.index.count] == self._slice) + 1
        is_user = self._pages.index.vpn[touched] < np.uint64(KERNEL_BASE >> PAGE_SHIFT)
        user = int(is_user.sum())
        code = int((is_user & (self._last_fetched[touched] == self._slice)).sum())
        self._user_code_kib.append(code * PAGE_KIB)
        self._user_data_kib.append((user - code) * PAGE_KIB)
        self._kernel_kib.append((len(touched) - user) * PAGE_KIB)
        self._instructions.append(self._in_slice)
        self._slice += 1
        self._row = 0
        self._in_slice = 0

    def finish(self) -> WorkingSet:
        if self._row:
            self._end_slice()
        return WorkingSet(
            self._slice_records, self._instructions, self._user_code_kib, self._user_data_kib, self._kernel_kib
        )
