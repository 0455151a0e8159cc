"""Where the radix sort keeps things: the image of the program, and the shared region that each thread maps itself.

The shared region holds what SPLASH-2's program takes from G_MALLOC: synchronisation words, per thread a local histogram
and its first destinations, the nodes of the prefix tree, and the two arrays of keys. All numbers are bytes.
"""

from dataclasses import dataclass

from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import Segment
from discotrace.tracegen.workloads.emit import Text

TEXT_START = 0x40_0000
TEXT_BYTES = 16 * 1024
PRIVATE_START = 0x1000_0000
STACK_END = 0x7FFF_F000
SHARED_START = 0x3000_0000
IMAGE_BYTES = 48 * 1024  # size of the program's file
WORD = 4  # a C long of a 32-bit system: keys, counts and places
LINE = 128  # synchronisation words and tree nodes are a second-level line apart, as SPLASH-2's padding does it


def round_to(number: int, boundary: int) -> int:
    """The next multiple of ``boundary``."""
    return -(-number // boundary) * boundary


@dataclass(frozen=True)
class RadixMemory:
    """Addresses of one sort by ``threads`` threads (a power of two) of ``keys`` keys with ``radix`` buckets."""

    threads: int
    keys: int
    radix: int

    @property
    def table(self) -> int:
        """Bytes of one array with a word per bucket."""
        return self.radix * WORD

    @property
    def root(self) -> int:
        """Number of the tree's root."""
        return 2 * self.threads - 2

    @property
    def node_bytes(self) -> int:
        """A node of the prefix tree: densities, ranks, and the flag that says that it is done."""
        return 2 * self.table + LINE

    def rank_me(self, thread: int) -> int:
        """A thread's local histogram."""
        return SHARED_START + PAGE_BYTES + thread * self.table

    def rank_ff(self, thread: int) -> int:
        """Where a thread's next key of each bucket goes."""
        return self.rank_me(self.threads) + thread * self.table

    def densities(self, node: int) -> int:
        """Running sums of a node of the tree; its first ``threads`` nodes are the leaves."""
        return self.rank_ff(self.threads) + node * self.node_bytes

    def ranks(self, node: int) -> int:
        """Counts of a node of the tree."""
        return self.densities(node) + self.table

    def flag(self, node: int) -> int:
        """Says that a node is done."""
        return self.ranks(node) + self.table

    def array(self, which: int) -> int:
        """Array 0 or 1 of keys, at the start of a page."""
        first = round_to(self.densities(2 * self.threads), PAGE_BYTES)
        return first + which * round_to(self.keys * WORD, PAGE_BYTES)

    @property
    def barrier(self) -> int:
        """Lock word and counter of the barrier."""
        return SHARED_START

    @property
    def key_density(self) -> int:
        """A thread's own running sums, from malloc."""
        return PRIVATE_START + PAGE_BYTES

    def image(self, file: int) -> tuple[Segment, ...]:
        """Text, data with heap, and stack of one thread's process."""
        private = round_to(PAGE_BYTES + self.table, PAGE_BYTES)
        return (
            Segment(0, TEXT_START, TEXT_START + TEXT_BYTES, "file", file, writable=False),
            Segment(0, PRIVATE_START, PRIVATE_START + private, "anonymous"),
            Segment(0, STACK_END - 2 * PAGE_BYTES, STACK_END, "anonymous"),
        )

    def shared(self, number: int) -> Segment:
        """The shared region: object ``number`` of the machine."""
        return Segment(0, SHARED_START, self.array(2), "shared", number)


class RadixText:
    """The loops of the program, in the order of its source; a block is the code of one iteration.

    Instructions as a MIPS compiler makes them of these loops without unrolling.
    """

    def __init__(self) -> None:
        text = Text(TEXT_START)
        self.start_up = text.block(1024)
        text.align(LINE)
        self.fill = text.block(8)  # dmultu, mflo, and, dsrl, sw, two counts, branch
        self.clear = text.block(4)
        self.count = text.block(10)  # lw, and, sra, sll, addu, lw, addiu, sw, count, branch
        self.sum = text.block(6)
        self.leaf = text.block(9)
        self.climb = text.block(13)
        self.copy = text.block(5)
        self.add = text.block(7)
        self.permute = text.block(14)  # lw, and, sra, sll, addu, lw, sll, addu, sw, lw, addiu, sw, count, branch
        text.align(LINE)
        self.flag = text.block(8)
        self.barrier = text.block(40)
