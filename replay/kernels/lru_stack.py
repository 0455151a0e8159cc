"""An LRU stack of names: how many others were accessed since each name was, in O(log n).

The depth at which an access finds its name in the stack is its stack distance: every fully associative LRU memory of
more places hits, every other one misses (Mattson, Gecsei, Slutz and Traiger, IBM Systems Journal 9(2), 1970). The
depth is counted in a Fenwick tree over the times of the last accesses (Bennett and Kruskal, IBM J. Res. Dev. 19(4),
1975); when the times run out those that still stand are numbered anew.

A name that is forgotten leaves a hole, a free place, which the next access to anything deeper fills. So the memory of
every size has its free place as long as it really would.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.replay.kernels.compile import entry, inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import I64, U64

I32 = npt.NDArray[np.int32]

# Places of ``numbers``: time of the last access; occupied places of the stack, holes too; holes; places taken in the
# table; accesses; accesses to names that are not in the stack.
NOW, MARKS, HOLES, NAMES, ACCESSES, COLD, NUMBERS = 0, 1, 2, 3, 4, 5, 6

NEVER, GONE = np.uint64(0), np.uint64(0xFFFF_FFFF_FFFF_FFFF)  # instead of a time: no name here; a forgotten name
NOTHING, HOLE = -1, -2  # instead of a place in the table
_FIRST_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 / golden ratio: Fibonacci hashing (Knuth, TAOCP 3, 6.4)
_SECOND_FACTOR = np.uint64(0xC2B2_AE3D_27D4_EB4F)
_HALF = np.uint64(32)


class LruStack(NamedTuple):
    """One stack. Times are 1 .. T, at most half of them stand; the table has T places, at most half of them taken."""

    table: U64  # [T, 3]: the two words of a name, the time of its last access or NEVER or GONE. Open addressing
    at_time: I32  # [T + 1]: place in the table of the name last accessed then, HOLE, or NOTHING
    tree: I32  # [T + 1]: Fenwick tree of the times at which at_time has something
    holes: I32  # [T + 1]: times of holes as a heap from 1 on, the latest first
    depths: I64  # [T]: accesses that found their name at each depth
    numbers: I64  # [NUMBERS]


def new_stack(times: int) -> LruStack:
    """An empty stack; ``times`` is a power of two."""
    return LruStack(
        table=np.zeros(3 * times, np.uint64),
        at_time=np.full(times + 1, NOTHING, np.int32),
        tree=np.zeros(times + 1, np.int32),
        holes=np.zeros(times + 1, np.int32),
        depths=np.zeros(times, np.int64),
        numbers=np.zeros(NUMBERS, np.int64),
    )


@inlined
def find_name(stack: LruStack, first: np.uint64, second: np.uint64) -> int:
    """Place in the table of a name, or the free one where it belongs."""
    last = len(stack.depths) - 1
    place = signed(((first * _FIRST_FACTOR ^ second * _SECOND_FACTOR) >> _HALF) & np.uint64(last))
    while stack.table[3 * place + 2] != NEVER:
        if stack.table[3 * place] == first and stack.table[3 * place + 1] == second:
            break
        place = (place + 1) & last
    return place


@inlined
def stands_now(tree: I32, time: int) -> None:
    """Something stands at a time at which nothing stood."""
    while time < len(tree):
        tree[time] += 1
        time += time & -time


@inlined
def moves_to(tree: I32, old: int, new: int) -> None:
    """What stands at a time stands at a later one instead. The nodes over both stay as they are."""
    while old != new:
        if old < new:
            if old >= len(tree):
                break
            tree[old] -= 1
            old += old & -old
        else:
            if new >= len(tree):
                break
            tree[new] += 1
            new += new & -new


@inlined
def marks_after(tree: I32, time: int, now: int) -> int:
    """At how many times after ``time`` and up to ``now`` something stands."""
    marks = signed(0)
    while now > time:
        marks += tree[now]
        now &= now - 1
    while time > now:
        marks -= tree[time]
        time &= time - 1
    return marks


@inlined
def push_hole(stack: LruStack, time: int) -> None:
    """There is a hole at a time."""
    stack.numbers[HOLES] += 1
    child = stack.numbers[HOLES]
    while child > 1 and stack.holes[child >> 1] < time:
        stack.holes[child] = stack.holes[child >> 1]
        child >>= 1
    stack.holes[child] = time


@inlined
def pop_hole(stack: LruStack) -> None:
    """The latest hole is no more."""
    count = stack.numbers[HOLES] - 1
    stack.numbers[HOLES] = count
    last = stack.holes[count + 1]
    parent, child = signed(1), signed(2)
    while child <= count:
        if child < count and stack.holes[child + 1] > stack.holes[child]:
            child += 1
        if stack.holes[child] <= last:
            break
        stack.holes[parent] = stack.holes[child]
        parent, child = child, 2 * child
    stack.holes[parent] = last


@kernel
def build_tree(stack: LruStack) -> None:
    """The tree when something stands at all times up to NOW and at none after."""
    now = stack.numbers[NOW]
    for time in range(1, len(stack.tree)):
        stack.tree[time] = max(0, min(time, now) - (time - (time & -time)))


@kernel
def number_anew(stack: LruStack) -> None:
    """Give the times that stand the numbers 1, 2 ... in their order."""
    now, holes = signed(0), signed(0)
    for time in range(1, stack.numbers[NOW] + 1):
        place = signed(stack.at_time[time])
        if place == NOTHING:
            continue
        now += 1
        stack.at_time[time] = NOTHING
        stack.at_time[now] = place
        if place == HOLE:
            holes += 1
            stack.holes[stack.numbers[HOLES] + 1 - holes] = now  # descending, which is a heap
        else:
            stack.table[3 * place + 2] = np.uint64(now)
    stack.numbers[NOW] = now
    build_tree(stack)


@kernel
def move_up(stack: LruStack, place: int, time: int) -> None:
    """The name at a place of the table comes to the top; ``time`` of its last access, 0 if it was not in the stack.

    The names above it go down by one, or those above the first hole on the way, which is filled.
    """
    stack.numbers[NOW] += 1
    now = signed(stack.numbers[NOW])
    hole = signed(stack.holes[1]) if stack.numbers[HOLES] > 0 else 0
    left = max(hole, time)
    if left > 0:
        moves_to(stack.tree, left, now)
        stack.at_time[left] = NOTHING
    else:
        stands_now(stack.tree, now)
        stack.numbers[MARKS] += 1
    if hole > time:
        pop_hole(stack)
        if time > 0:
            push_hole(stack, time)
            stack.at_time[time] = HOLE
    stack.at_time[now] = place
    stack.table[3 * place + 2] = np.uint64(now)


@inlined
def see_access(stack: LruStack, first: np.uint64, second: np.uint64) -> None:
    """An access to a name, for which there is room."""
    table, numbers = stack.table, stack.numbers
    numbers[ACCESSES] += 1
    top = signed(stack.at_time[numbers[NOW]])
    if top >= 0 and table[3 * top] == first and table[3 * top + 1] == second:
        stack.depths[0] += 1
        return
    place = find_name(stack, first, second)
    known = table[3 * place + 2]
    time = signed(0)
    if known == NEVER:
        table[3 * place] = first
        table[3 * place + 1] = second
        numbers[NAMES] += 1
    if known in (NEVER, GONE):
        numbers[COLD] += 1
    else:
        time = signed(known)
        stack.depths[marks_after(stack.tree, time, signed(numbers[NOW]))] += 1
    move_up(stack, place, time)


@entry
def see_accesses(stack: LruStack, words: U64, start: int, stop: int) -> int:
    """Accesses ``start`` to ``stop`` of ``words`` [accesses, 2], in order.

    Returns the number of the first that it has not seen because the stack needs more room; ``stop`` if none.
    """
    times = len(stack.depths)
    for access in range(start, stop):
        if 2 * max(stack.numbers[NAMES], stack.numbers[MARKS]) >= times:
            return access
        if stack.numbers[NOW] == times:
            number_anew(stack)
        see_access(stack, words[2 * access], words[2 * access + 1])
    return stop


@entry
def forget_names(stack: LruStack, words: U64) -> None:
    """Names ``words`` [names, 2] leave the stack, if they are in it, and holes where they were."""
    for name in range(len(words) // 2):
        place = find_name(stack, words[2 * name], words[2 * name + 1])
        known = stack.table[3 * place + 2]
        if known not in (NEVER, GONE):
            stack.table[3 * place + 2] = GONE
            stack.at_time[signed(known)] = HOLE
            push_hole(stack, signed(known))


@entry
def move_stack(source: LruStack, target: LruStack) -> None:
    """Move everything into an empty stack that has room; of forgotten names the holes alone."""
    number_anew(source)
    for number in range(NUMBERS):
        target.numbers[number] = source.numbers[number]
    target.numbers[NAMES] = source.numbers[MARKS] - source.numbers[HOLES]
    for depth in range(len(source.depths)):
        target.depths[depth] = source.depths[depth]
    for hole in range(1, source.numbers[HOLES] + 1):
        target.holes[hole] = source.holes[hole]
    for time in range(1, source.numbers[NOW] + 1):
        old = signed(source.at_time[time])
        if old == HOLE:
            target.at_time[time] = HOLE
            continue
        first, second = source.table[3 * old], source.table[3 * old + 1]
        new = find_name(target, first, second)
        target.table[3 * new] = first
        target.table[3 * new + 1] = second
        target.table[3 * new + 2] = np.uint64(time)
        target.at_time[time] = new
    build_tree(target)
