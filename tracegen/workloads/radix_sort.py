"""The radix sort of SPLASH-2: what its threads compute, and the references that this makes, phase by phase.

All threads of a sort share one ``RadixSort``. Between two barriers a thread writes nothing that another one reads, so
that it does not matter when the arrays really change.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.workloads.emit import Part, load, references, run, spans, store
from discotrace.tracegen.workloads.program import Barrier, References, Step
from discotrace.tracegen.workloads.radix_memory import WORD, RadixMemory, RadixText

# The generator of the NAS benchmarks, which SPLASH-2 uses too: x' = 5^13 x mod 2^46.
MULTIPLIER = 5**13
FIRST_NUMBER = 314159265
NUMBER_BITS = 46
MASK = (1 << NUMBER_BITS) - 1

Numbers = npt.NDArray[np.int64]
TableOf = Callable[[int], int]  # from a node of the tree to the address of one of its tables
Access = Callable[[int, int], Part]  # load or store


def random_numbers(first: int, position: int, count: int) -> npt.NDArray[np.uint64]:
    """``count`` numbers below 2^46 of the sequence that begins with ``first``, from ``position`` on."""
    factors = np.full(count, MULTIPLIER, np.uint64)
    if count:
        factors[0] = first * pow(MULTIPLIER, position, 1 << NUMBER_BITS) & MASK
    products: npt.NDArray[np.uint64] = np.multiply.accumulate(factors)  # modulo 2^64, hence exact modulo 2^46
    return products & np.uint64(MASK)


def places_in_bucket(digits: Numbers, radix: int) -> Numbers:
    """How many equal digits stand before each digit."""
    order = np.argsort(digits, kind="stable")
    counts = np.bincount(digits, minlength=radix)
    places = np.empty(len(digits), np.int64)
    places[order] = np.arange(len(digits)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places


def barrier_count(threads: int) -> int:
    """One that all threads use, two per node of the tree."""
    return 1 + 4 * threads


class RadixSort:
    """The shared data of one sort: two arrays of keys, histograms, and the prefix tree.

    ``barriers``: number of the first of ``barrier_count(threads)`` barriers that the threads use.
    """

    def __init__(self, memory: RadixMemory, key_bits: int, seed: int, barriers: int) -> None:
        self.memory = memory
        self.key_bits = key_bits
        self.barrier = barriers
        self.pauses_up = barriers + 1  # and a node's number
        self.pauses_down = self.pauses_up + 2 * memory.threads
        self.text = RadixText()
        self.first_number = FIRST_NUMBER * (2 * seed + 1) & MASK
        self.arrays = np.zeros((2, memory.keys), np.uint32)
        shape = (2 * memory.threads, memory.radix)
        self.densities, self.ranks = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.rank_me = np.zeros((memory.threads, memory.radix), np.int64)

    @property
    def digit_bits(self) -> int:
        """Bits of a digit."""
        return self.memory.radix.bit_length() - 1

    @property
    def passes(self) -> int:
        """Digits of a key."""
        return -(-self.key_bits // self.digit_bits)

    @property
    def result(self) -> npt.NDArray[np.uint32]:
        """The array that holds the keys after the last pass. Shape (keys,)."""
        last: npt.NDArray[np.uint32] = self.arrays[self.passes % 2]
        return last


class RadixThread:
    """One of the threads of a sort, numbered from 0."""

    def __init__(self, sort: RadixSort, number: int) -> None:
        self._sort = sort
        self._memory = sort.memory
        self._text = sort.text
        self._number = number
        keys, threads = sort.memory.keys, sort.memory.threads
        self._start, self._stop = keys * number // threads, keys * (number + 1) // threads
        self._buckets = np.arange(sort.memory.radix, dtype=np.uint64) * np.uint64(WORD)

    def steps(self, round_number: int) -> Iterator[Step]:
        """Fill the own part of array 0 with the next keys, then sort all keys, digit by digit."""
        yield from self._fill(round_number)
        yield from self._barrier()
        for digit in range(self._sort.passes):
            yield from self._histogram(digit)
            yield from self._barrier()
            yield from self._climb()
            yield from self._barrier()
            yield from self._descend()
            yield from self._barrier()
            yield from self._permute(digit)
            yield from self._barrier()

    # ---- keys -------------------------------------------------------------------------------------------------

    def _fill(self, round_number: int) -> Iterator[References]:
        sort, count = self._sort, self._stop - self._start
        position = round_number * self._memory.keys + self._start
        numbers = random_numbers(sort.first_number, position, count)
        sort.arrays[0, self._start : self._stop] = numbers >> np.uint64(NUMBER_BITS - sort.key_bits)
        addresses = self._own_keys(0)
        for part in spans(count, 2):
            yield references(part.stop - part.start, run(self._text.fill), store(addresses[part], WORD))

    def _histogram(self, digit: int) -> Iterator[References]:
        sort, rank_me = self._sort, self._table(self._memory.rank_me(self._number))
        digits = self._digits(digit)
        counts = np.bincount(digits, minlength=self._memory.radix)
        sort.rank_me[self._number] = counts
        yield self._loop(run(self._text.clear), store(rank_me, WORD))
        keys, counters = self._own_keys(digit % 2), rank_me[digits]
        for part in spans(len(digits), 4):
            count = part.stop - part.start
            mine = counters[part]
            yield references(count, run(self._text.count), load(keys[part], WORD), load(mine, WORD), store(mine, WORD))
        yield self._loop(run(self._text.sum), load(rank_me, WORD), store(self._table(self._memory.key_density), WORD))

    def _permute(self, digit: int) -> Iterator[References]:
        sort, digits = self._sort, self._digits(digit)
        places = self._first_places()[digits] + places_in_bucket(digits, self._memory.radix)
        source = digit % 2
        sort.arrays[1 - source][places] = sort.arrays[source, self._start : self._stop]
        keys, nexts = self._own_keys(source), self._table(self._memory.rank_ff(self._number))[digits]
        targets = np.uint64(self._memory.array(1 - source)) + places.astype(np.uint64) * np.uint64(WORD)
        for part in spans(len(digits), 6):
            next_place = nexts[part]
            yield references(
                part.stop - part.start,
                run(self._text.permute),
                load(keys[part], WORD),
                load(next_place, WORD),
                store(targets[part], WORD),
                load(next_place, WORD),  # the store may have changed it, as far as the compiler knows
                store(next_place, WORD),
            )

    def _digits(self, digit: int) -> Numbers:
        keys = self._sort.arrays[digit % 2, self._start : self._stop]
        shifted = keys >> np.uint32(digit * self._sort.digit_bits)
        return (shifted & np.uint32(self._memory.radix - 1)).astype(np.int64)

    def _own_keys(self, which: int) -> npt.NDArray[np.uint64]:
        offsets = np.arange(self._start, self._stop, dtype=np.uint64) * np.uint64(WORD)
        return np.uint64(self._memory.array(which)) + offsets

    # ---- the prefix tree --------------------------------------------------------------------------------------

    def _climb(self) -> Iterator[Step]:
        """The thread's leaf, then every node whose right child it has made: sums of both children."""
        sort, memory, text = self._sort, self._memory, self._text
        node = self._number
        sort.ranks[node] = sort.rank_me[node]
        sort.densities[node] = np.cumsum(sort.rank_me[node])
        yield self._loop(
            run(text.leaf),
            load(self._table(memory.key_density), WORD),
            store(self._table(memory.densities(node)), WORD),
            load(self._table(memory.rank_me(self._number)), WORD),
            store(self._table(memory.ranks(node)), WORD),
        )
        above = [upper for _, upper in self._nodes_up()][1:]
        for left, upper in zip(self._left_siblings(), above, strict=False):
            yield from self._pause(load, left, sort.pauses_up)
            for table in (sort.densities, sort.ranks):
                table[upper] = table[left + 1] + table[left]
            yield self._loop(run(text.climb), *self._sum(memory.densities, left, left + 1, upper))
            yield self._loop(run(text.climb), *self._sum(memory.ranks, left, left + 1, upper))
            node = upper
        if node != memory.root:
            yield from self._pause(store, node, sort.pauses_up)

    def _sum(self, table: TableOf, left: int, right: int, node: int) -> tuple[Part, Part, Part]:
        return (
            load(self._table(table(right)), WORD),
            load(self._table(table(left)), WORD),
            store(self._table(table(node)), WORD),
        )

    def _pause(self, access: Access, node: int, barriers: int) -> Iterator[Step]:
        """SPLASH-2's PAUSE on a left child: one thread sets its flag (store), another one waits for it (load)."""
        yield references(1, run(self._text.flag), access(self._memory.flag(node), WORD))
        yield Barrier(barriers + node, 2)

    def _descend(self) -> Iterator[Step]:
        """The total comes down the tree; then the first place of each bucket of this thread: all smaller digits, and
        the same digit of the threads before it."""
        memory, text = self._memory, self._text
        mine = self._table(memory.rank_ff(self._number))
        path = self._left_children()
        if len(path) > 1:
            own, above = path[0], path[1]
            yield from self._pause(load, own, self._sort.pauses_down)
            self._sort.densities[own] = self._sort.densities[above]
            source, target = self._table(memory.densities(above)), self._table(memory.densities(own))
            yield self._loop(run(text.copy), load(source, WORD), store(target, WORD))
        for node in self._left_siblings():
            yield from self._pause(store, node, self._sort.pauses_down)
        yield self._loop(run(text.clear), store(mine, WORD))
        for node in self._nodes_before():
            ranks = self._table(memory.ranks(node))
            yield self._loop(run(text.add), load(ranks, WORD), load(mine, WORD), store(mine, WORD))
        total = self._table(memory.densities(path[0]))
        yield self._loop(run(text.add), load(total, WORD), load(mine, WORD), store(mine, WORD))

    def _nodes_up(self) -> Iterator[tuple[int, int]]:
        """The leaf of this thread and the nodes above it: (position in its level, number in the tree)."""
        offset, base, level = self._number, 0, self._memory.threads
        while level:
            yield offset, base + offset
            base, level, offset = base + level, level // 2, offset >> 1

    def _left_children(self) -> list[int]:
        """Those of them that are left children, then the root."""
        return [node for offset, node in self._nodes_up() if offset % 2 == 0]

    def _left_siblings(self) -> list[int]:
        """Left siblings of the right children that this thread has made."""
        siblings = []
        for offset, node in self._nodes_up():
            if offset % 2 == 0:
                break
            siblings.append(node - 1)
        return siblings

    def _nodes_before(self) -> list[int]:
        """Nodes that together cover the threads before this one."""
        return [node - 1 for offset, node in self._nodes_up() if offset % 2]

    def _first_places(self) -> Numbers:
        sort = self._sort
        places: Numbers = sort.ranks[self._nodes_before()].sum(axis=0)
        places[1:] += sort.densities[self._left_children()[0], :-1]
        return places

    # ---- pieces -----------------------------------------------------------------------------------------------

    def _table(self, start: int) -> npt.NDArray[np.uint64]:
        """Addresses of the words of an array with a word per bucket."""
        return np.uint64(start) + self._buckets

    def _loop(self, *parts: Part) -> References:
        """A loop over all buckets."""
        return references(self._memory.radix, *parts)

    def _barrier(self) -> Iterator[Step]:
        """Take the barrier's lock, count oneself, sleep unless one is the last."""
        lock, counter = self._memory.barrier, self._memory.barrier + WORD
        code = self._text.barrier
        yield references(1, run(code), load(lock, WORD), store(lock, WORD), load(counter, WORD), store(counter, WORD))
        yield Barrier(self._sort.barrier, self._memory.threads)
