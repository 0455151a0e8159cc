"""Where the guest kernel's text and data lie, and the address of each object that a path touches.

A path names its data by region ("inode", "pfdat" ...); an invocation says which file, page, process and CPU it is
about (``Place``), and ``bases`` turns that into one address per region.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.kernel_parameters import KEYS, Parameters
from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import KERNEL_ASID, KSEG0_END, KSEG0_START, KSEG2_START, XKPHYS_START, Segment

STACK_STRIDE = 2 * PAGE_BYTES  # kernel stacks do not share a TLB entry, which maps a pair of pages
GENERAL_VECTOR = KSEG0_START + 0x180  # general exception vector, R10000 User's Manual chapter 17
ROUTINE_GAP = 128  # bytes after each routine: the last basic block of a walk may run past its end
LOCK_STRIDE = 128  # each lock word has a cache line of its own
MAX_FILES = 65536  # file numbers above share a lock word

# Bases that are not an object of a data region.
ABSOLUTE, STACK, STACK_PAGE, USER_PAGE, SOURCE_PAGE = range(5)
SPECIAL_BASES = 5


@dataclass
class Place:
    """What one invocation is about. Addresses in bytes; ``page`` is a page descriptor, ``entry`` a page-table entry."""

    vcpu: int
    asid: int
    slot: int = 0
    stack: int = 0
    stack_page: int = 0
    file: int = 0
    page: int = 0
    entry: int = 0
    user_page: int = 0
    source_page: int = 0

    def keys(self) -> list[int]:
        """Object selectors in the order of ``KEYS``."""
        return [0, self.vcpu, self.slot, self.file, self.page, self.entry]

    def special_bases(self) -> list[int]:
        """Addresses in the order of the constants above."""
        return [0, self.stack, self.stack_page, self.user_page, self.source_page]


def round_up(size: int) -> int:
    """``size`` in bytes rounded up to whole pages."""
    return -(-size // PAGE_BYTES) * PAGE_BYTES


class KernelLayout:
    """Addresses of kernel text (start of KSEG0), data and locks (behind it), stacks (KSEG2), windows (XKPHYS)."""

    def __init__(self, parameters: Parameters) -> None:
        """Raises ConfigError when KSEG0, or the kernel's image, is too small."""
        self.parameters = parameters
        self.routines: dict[str, int] = {}
        end = KSEG0_START + PAGE_BYTES
        for name, size in parameters.routines.items():
            self.routines[name] = end
            end += -(-(size + ROUTINE_GAP) // ROUTINE_GAP) * ROUTINE_GAP
        self.text_end = KSEG0_START + round_up(parameters.memory.text_kib * 1024)
        if end > self.text_end:
            raise ConfigError(
                f"guest kernel: the routines need {end - KSEG0_START} bytes of text, memory.text_kib gives "
                f"{self.text_end - KSEG0_START}: raise it"
            )
        self._place_data()
        self.text_bytes = self.text_end - KSEG0_START
        self.anonymous_window = XKPHYS_START
        self.entries_per_process = parameters.data["page_table"].count // parameters.memory.process_slots
        self.window_stride = parameters.memory.file_window_stride_gib << 30

    def _place_data(self) -> None:
        """Give every data region, every lock and the pipe buffer a place; fill the arrays that ``bases`` works on."""
        regions = {name: (r.stride, r.count, r.key) for name, r in self.parameters.data.items()}
        for name in self.parameters.locks:
            regions[lock_region(name)] = (
                (LOCK_STRIDE, MAX_FILES, "file") if name == "file" else (LOCK_STRIDE, 1, "none")
            )
        self._index = {name: SPECIAL_BASES + i for i, name in enumerate(regions)}
        starts: list[int] = []
        end = self.text_end
        for stride, count, _ in regions.values():
            starts.append(end)
            end += round_up(stride * count)
        self.pipe = end
        self.data_end = end + round_up(self.parameters.memory.pipe_buffer_bytes)
        if self.data_end > KSEG0_END:
            raise ConfigError("guest kernel: text, data and locks do not fit into KSEG0: lower the counts in [data]")
        self._starts = np.array(starts, dtype=np.uint64)
        self._strides = np.array([stride for stride, _, _ in regions.values()], dtype=np.uint64)
        self._counts = np.array([count for _, count, _ in regions.values()], dtype=np.uint64)
        self._keys = np.array([KEYS.index(key) for _, _, key in regions.values()], dtype=np.intp)

    def base_index(self, region: str) -> int:
        """Column of ``bases`` that holds the address of this region's object ("stack": the trap level's frame)."""
        return STACK if region == "stack" else self._index[region]

    def object_bytes(self, region: str) -> int:
        """Bytes of one object that a path's loads and stores spread over."""
        entry = self.parameters.entry
        if region == "stack":
            return entry.stack_frame_bytes - entry.trap_frame_bytes
        return self.parameters.data[region].bytes

    def address(self, region: str, key: int) -> int:
        """Address of one object of a region."""
        i = self._index[region] - SPECIAL_BASES
        return int(self._starts[i]) + int(self._strides[i]) * (key % int(self._counts[i]))

    def boot_ranges(self, vcpu: int, cpus: int) -> list[tuple[int, int]]:
        """Text and tables that an OS instance on virtual CPU ``vcpu`` of ``cpus`` has booted with: (address, bytes).

        Tables about memory are divided among the virtual CPUs, as memory is among virtual machines.
        """
        ranges = [(KSEG0_START, self.text_bytes)]
        for name, count in self.parameters.boot.items():
            region = self.parameters.data[name]
            is_shared_out = region.key == "page"
            first, past = (vcpu * count // cpus, (vcpu + 1) * count // cpus) if is_shared_out else (0, count)
            if past > first:
                ranges.append((self.address(name, first), (past - first) * region.stride))
        return ranges

    def bases(self, places: list[Place]) -> npt.NDArray[np.uint64]:
        """One row of addresses (uint64, one column per base) for each place."""
        keys = np.array([place.keys() for place in places], dtype=np.uint64)
        objects = self._starts + self._strides * (keys[:, self._keys] % self._counts)
        return np.concatenate([np.array([p.special_bases() for p in places], dtype=np.uint64), objects], axis=1)

    def stack_page(self, slot: int) -> int:
        """The page of a process's kernel stack."""
        return KSEG2_START + slot * STACK_STRIDE

    def file_window(self, file: int) -> int:
        """Where the kernel's window on the cached pages of a file begins. Window 0 shows anonymous pages."""
        return XKPHYS_START + file * self.window_stride

    def segments(self, kernel_file: int) -> list[Segment]:
        """The kernel's segments but for file windows; its text is the file ``kernel_file``, shared like a program's."""
        stacks_end = KSEG2_START + self.parameters.memory.process_slots * STACK_STRIDE
        anonymous_end = XKPHYS_START + self.parameters.memory.page_descriptors * PAGE_BYTES
        return [
            Segment(KERNEL_ASID, KSEG0_START, self.text_end, "file", kernel_file, writable=False),
            Segment(KERNEL_ASID, self.text_end, self.data_end, "anonymous"),
            Segment(KERNEL_ASID, KSEG2_START, stacks_end, "anonymous"),
            Segment(KERNEL_ASID, XKPHYS_START, anonymous_end, "anonymous"),
        ]


def lock_region(lock: str) -> str:
    """Name of the region that holds a lock's word (one per file for the lock "file")."""
    return f"lock_{lock}"
