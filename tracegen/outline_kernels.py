"""Finds the rows of a trace that the state of memory depends on. Compiled; ``outline`` has the Python side."""

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled_with
from discotrace.tracegen.schema import KERNEL_BASE, LAST_REFERENCE, Kind, Privileged

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

PAGE_SHIFT = 12
STACK = 16  # how deep services nest, and how many locks a virtual CPU holds at once, as in ``docs/model.md``
LINE_SHIFT = 7  # of the lines whose touches make a trail
LINES = 1 << 15  # touches of lines that are remembered; a power of two
DONE, FULL, BAD_NESTING = -1, -2, -3  # what the scan returns, else the row of an UNMAP

_FREE = np.uint64(0)  # second word of a free place
_GONE = np.uint64(1)  # of a place whose touch has been forgotten
_ONE, _PAGE_SHIFT, _LINE_SHIFT = np.uint64(1), np.uint64(PAGE_SHIFT), np.uint64(LINE_SHIFT)
_ACCESS_BITS, _VCPU_SHIFT, _CHUNK_SHIFT = np.uint64(2), np.uint64(32), np.uint64(49)
_KERNEL = np.uint64(KERNEL_BASE)
_VPN_FACTOR, _OWNER_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(0xC2B2_AE3D_27D4_EB4F)
_LAST_REFERENCE = int(LAST_REFERENCE)
_FETCH, _ZERO_PAGE, _PRIVILEGED = int(Kind.FETCH), int(Kind.ZERO_PAGE), int(Kind.PRIVILEGED)
_ENTER, _EXIT, _LOCK, _UNLOCK = int(Kind.ENTER), int(Kind.EXIT), int(Kind.LOCK), int(Kind.UNLOCK)
_UNMAP, _PROCESS_EXIT, _MAP = int(Kind.UNMAP), int(Kind.PROCESS_EXIT), int(Kind.MAP)
_FILE_READ, _FILE_WRITE, _RESIDENT = int(Kind.FILE_READ), int(Kind.FILE_WRITE), int(Kind.RESIDENT)
_SPACE = (np.uint64(1) << _VCPU_SHIFT) - _ONE  # the bits of an owner that are the address space
_WIRED = np.uint32(Privileged.WIRED)


@compiled_with(nogil=True)
def owner_word(vcpu: int, asid: int, vaddr: np.uint64) -> np.uint64:
    """Whose touch of a page it is: virtual CPU and address space, never ``_FREE`` or ``_GONE``."""
    asid_or_kernel = np.uint64(0) if vaddr >= _KERNEL else np.uint64(asid)
    return (np.uint64(vcpu) + np.uint64(2)) << _VCPU_SHIFT | asid_or_kernel


@compiled_with(nogil=True)
def hash_of(vpn: np.uint64, owner: np.uint64) -> np.uint64:
    """Fibonacci hashing of both words, the upper bits brought down."""
    mixed = vpn * _VPN_FACTOR + owner * _OWNER_FACTOR
    return mixed ^ mixed >> _VCPU_SHIFT


@compiled_with(nogil=True)
def note_touch(touches: U64, used: I64, vpn: np.uint64, owner: np.uint64) -> bool:
    """Whether this is the first touch. ``touches`` [2 x places], a power of two, must have room; ``used`` [1]."""
    mask = np.uint64(len(touches) // 2 - 1)
    place = hash_of(vpn, owner) & mask
    while touches[2 * place + _ONE] != _FREE:
        if touches[2 * place] == vpn and touches[2 * place + _ONE] == owner:
            return False
        place = (place + _ONE) & mask
    touches[2 * place], touches[2 * place + _ONE] = vpn, owner
    used[0] += 1
    return True


@compiled_with(nogil=True)
def forget_pages(touches: U64, lines: U64, vcpus: int, asid: int, start: np.uint64, end: np.uint64) -> None:
    """The pages of [start, end) of an address space are gone: the next touch of each is a first one again."""
    lines[:] = _FREE
    mask = np.uint64(len(touches) // 2 - 1)
    for vcpu in range(vcpus):
        owner = owner_word(vcpu, asid, start)
        vpn = start >> _PAGE_SHIFT
        while vpn < end >> _PAGE_SHIFT:
            place = hash_of(vpn, owner) & mask
            while touches[2 * place + _ONE] != _FREE:
                if touches[2 * place] == vpn and touches[2 * place + _ONE] == owner:
                    touches[2 * place + _ONE] = _GONE
                    break
                place = (place + _ONE) & mask
            vpn += _ONE


@compiled_with(nogil=True)
def copy_touches(old: U64, new: U64, used: I64) -> None:
    """All touches into a larger table. ``used`` [1] is brought up to date."""
    used[0] = 0
    for place in range(len(old) // 2):
        if old[2 * place + 1] > _GONE:
            note_touch(new, used, old[2 * place], old[2 * place + 1])


@compiled_with(nogil=True)
def is_first_touch(touches: U64, used: I64, vcpu: int, asid: int, vaddr: np.uint64, size: int) -> bool:
    """Whether a virtual CPU touches one of the pages of a range for the first time. All of them are noted."""
    owner = owner_word(vcpu, asid, vaddr)
    first, last = vaddr >> _PAGE_SHIFT, (vaddr + np.uint64(size - 1)) >> _PAGE_SHIFT
    found = False
    vpn = first
    while vpn <= last:
        found |= note_touch(touches, used, vpn, owner)
        vpn += _ONE
    return found


@compiled_with(nogil=True)
def is_fresh_line(lines: U64, chunk: np.uint64, vcpu: int, asid: int, access: int, vaddr: np.uint64, size: int) -> bool:
    """Whether one of the lines of a range has not been accessed so in this chunk, as far as it is remembered."""
    owner = owner_word(vcpu, asid, vaddr) | chunk << _CHUNK_SHIFT
    line, last = vaddr >> _LINE_SHIFT, (vaddr + np.uint64(size - 1)) >> _LINE_SHIFT
    found = False
    while line <= last:
        word = line << _ACCESS_BITS | np.uint64(access)
        at = 2 * (hash_of(word, owner) & np.uint64(LINES - 1))
        if lines[at] != word or lines[at + _ONE] != owner:
            lines[at], lines[at + _ONE] = word, owner
            found = True
        line += _ONE
    return found


@compiled_with(nogil=True)
def move_stack(stacks: I64, depth: I64, vcpu: int, kind: int, what: int) -> bool:
    """ENTER and LOCK put on the stack, EXIT and UNLOCK take off, the last entry that fits. False if there is none."""
    first = vcpu * STACK
    if kind in (_ENTER, _LOCK):
        if depth[vcpu] == STACK:
            return False
        stacks[first + depth[vcpu]] = what
        depth[vcpu] += 1
        return True
    at = first + depth[vcpu] - 1
    while at >= first and stacks[at] != what:
        at -= 1
    if at < first:
        return False
    for place in range(at, first + depth[vcpu] - 1):
        stacks[place] = stacks[place + 1]
    depth[vcpu] -= 1
    return True


@compiled_with(nogil=True)
def changes_memory(kind: int, arg: int, vaddr: np.uint64) -> bool:
    """Whether an event may change what is mapped, or which files are in memory."""
    if kind == _PRIVILEGED:
        return arg == _WIRED and vaddr != _FREE
    return kind in (_MAP, _UNMAP, _PROCESS_EXIT, _FILE_READ, _FILE_WRITE, _RESIDENT, _ZERO_PAGE)


@compiled_with(nogil=True)
def scan_rows(
    vcpu: npt.NDArray[np.uint16],
    asid: npt.NDArray[np.uint32],
    kind: npt.NDArray[np.uint8],
    vaddr: U64,
    size: npt.NDArray[np.uint32],
    arg: npt.NDArray[np.uint32],
    begin: int,
    touches: U64,
    lines: U64,
    chunk: np.uint64,
    used: I64,
    stacks: I64,
    depth: I64,
    running: I64,
    instructions: I64,
    kept: I64,
    matters: npt.NDArray[np.bool_],
    found: I64,
) -> tuple[int, int]:
    """Scan rows from ``begin`` on. Returns (why it stopped, the row to go on at).

    Rows of the trail go to ``kept`` (``found`` [1] says how many there are): the first fetch, load and store of a line
    by a virtual CPU in this ``chunk``, and events that change what is mapped or which files are in memory. ``matters``:
    whether a row is such an event, or the first touch of a page ever. ``lines`` [2 x LINES] remembers touches of lines.
    ``stacks`` [2, V, STACK] and ``depth`` [2, V]:
    services, then locks, of each virtual CPU; ``running`` [V]: its last process; ``instructions`` [1] so far. Stops at
    ``FULL`` when ``touches`` may get more than half full with the next row, and after an UNMAP, whose row it returns.
    """
    vcpus = len(running)
    locks, lock_depth = stacks[vcpus * STACK :], depth[vcpus:]
    row = begin
    while row < len(kind):
        if 4 * (used[0] + (size[row] >> PAGE_SHIFT) + 2) > len(touches):
            return FULL, row
        k, v = int(kind[row]), int(vcpu[row])
        if asid[row]:
            running[v] = asid[row]
        if k <= _LAST_REFERENCE:
            if size[row] and is_fresh_line(lines, chunk, v, asid[row], k, vaddr[row], size[row]):
                kept[found[0]] = row
                matters[found[0]] = is_first_touch(touches, used, v, asid[row], vaddr[row], size[row])
                found[0] += 1
        elif k in (_ENTER, _EXIT, _LOCK, _UNLOCK):
            is_lock = k in (_LOCK, _UNLOCK)
            if not move_stack(locks if is_lock else stacks, lock_depth if is_lock else depth, v, k, arg[row]):
                return BAD_NESTING, row
        elif changes_memory(k, arg[row], vaddr[row]):
            kept[found[0]] = row
            matters[found[0]] = True
            found[0] += 1
            if k == _UNMAP:
                return row, row + 1
        if k in (_FETCH, _ZERO_PAGE):
            instructions[0] += arg[row]
        row += 1
    return DONE, row


@compiled_with(nogil=True)
def last_touches(
    vcpu: npt.NDArray[np.uint16],
    asid: npt.NDArray[np.uint32],
    kind: npt.NDArray[np.uint8],
    vaddr: U64,
    size: npt.NDArray[np.uint32],
    lines: U64,
    kept: I64,
) -> int:
    """Find the references after which one of their lines is not accessed so any more, going backwards.

    ``kept`` [rows] gets their rows, the last one first; returns how many. ``lines`` [2 x LINES] remembers lines and is
    empty at first. What it forgets is kept again, which is not wrong, only more.
    """
    found = 0
    for row in range(len(kind) - 1, -1, -1):
        k = int(kind[row])
        if k <= _LAST_REFERENCE and is_fresh_line(lines, _ONE, int(vcpu[row]), asid[row], k, vaddr[row], size[row]):
            kept[found] = row
            found += 1
    return found


@compiled_with(nogil=True)
def distinct_pages(
    asid: npt.NDArray[np.uint32],
    kind: npt.NDArray[np.uint8],
    vaddr: U64,
    size: npt.NDArray[np.uint32],
    kinds: int,
    touches: U64,
    used: I64,
    space: I64,
    vpn: I64,
) -> bool:
    """The pages that rows touch, each once: ``space`` and ``vpn`` [places] get them, ``used`` [1] how many there are.

    ``kinds``: those of the rows that count, bit k for kind k. The space is the process, or 0 for the kernel.
    ``touches`` [2 x places], a power of two, is empty at first. False if it has too little room.
    """
    for row in range(len(kind)):
        if kinds >> kind[row] & 1:
            bytes_touched = 1 if kind[row] == _PRIVILEGED else max(int(size[row]), 1)
            page, last = vaddr[row] >> _PAGE_SHIFT, (vaddr[row] + np.uint64(bytes_touched - 1)) >> _PAGE_SHIFT
            owner = owner_word(0, asid[row], vaddr[row])
            while page <= last:
                if 4 * used[0] >= len(touches):
                    return False
                if note_touch(touches, used, page, owner):
                    space[used[0] - 1] = np.int64(owner & _SPACE)
                    vpn[used[0] - 1] = np.int64(page)
                page += _ONE
    return True
