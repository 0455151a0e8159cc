"""Follows the address space of one captured program through its system calls."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from discotrace.tracegen.areas import Area, AreaMap, inside, outside, page_down, page_up
from discotrace.tracegen.raw_format import Mapping
from discotrace.tracegen.steps import Remap
from discotrace.tracegen.syscalls import Call

PROT_WRITE = 2  # sys/mman.h on x86-64
MAP_SHARED, MAP_FIXED, MAP_ANONYMOUS = 0x01, 0x10, 0x20
STACK_BYTES = 8 << 20  # the usual stack limit, which valgrind keeps to
STACKS_START = 0x1F_0000_0000  # valgrind puts the program's stack above, everything else of the program below


class MemoryCalls:
    """The areas of one process; ``handlers`` take a call and follow it."""

    def __init__(self, path_of: Callable[[int], str], shared_numbers: "count[int]") -> None:
        """``path_of``: the path behind a descriptor, "" if it is no file. ``shared_numbers``: for all processes."""
        self._path_of = path_of
        self._shared_numbers = shared_numbers
        self._areas = AreaMap()
        self._heap_end = 0  # as the last brk returned it
        self.handlers: dict[str, Callable[[Call], Remap]] = {
            "mmap": self._mmap,
            "munmap": self._munmap,
            "mprotect": self._mprotect,
            "mremap": self._mremap,
            "brk": self._brk,
        }

    def copy(self, path_of: Callable[[int], str]) -> "MemoryCalls":
        """The state of a forked child, which has descriptors of its own."""
        child = MemoryCalls(path_of, self._shared_numbers)
        child._areas = self._areas.copy()
        child._heap_end = self._heap_end
        return child

    def exec(self, mappings: Sequence[Mapping], calls: Sequence[Call]) -> tuple[Area, ...]:
        """A new program with these mappings, which will make these calls: the areas that it begins with."""
        self._areas = AreaMap(initial_areas(mappings, calls))
        self._heap_end = 0
        return tuple(self._areas)

    def _mmap(self, call: Call) -> Remap:
        if not call.succeeded or not call.argument(1):
            return Remap(False)
        length, protection, flags = call.argument(1), call.argument(2), call.argument(3)
        path = "" if flags & MAP_ANONYMOUS else self._path_of(call.descriptor(4))
        writable = bool(protection & PROT_WRITE)
        area = Area(call.value, page_up(call.value + length))
        if path and not (flags & MAP_SHARED and writable):
            area = replace(area, backing="file", source=path, offset=call.argument(5), writable=writable)
        elif flags & MAP_SHARED:
            source = path or f"shared memory {next(self._shared_numbers)}"
            area = replace(area, backing="shared", source=source, offset=call.argument(5) if path else 0)
        return self._change(False, (), (area,))

    def _munmap(self, call: Call) -> Remap:
        start = call.argument(0)
        removed = ((start, page_up(start + call.argument(1))),) if call.succeeded else ()
        return self._change(False, removed, ())

    def _mprotect(self, call: Call) -> Remap:
        """A private view of a file that may be written from now on is a copy. Nothing else changes page identity."""
        if not call.succeeded or not call.argument(2) & PROT_WRITE:
            return Remap(False)
        start = page_down(call.argument(0))
        touched = self._areas.overlapping(start, page_up(call.argument(0) + call.argument(1)))
        copies = tuple(replace(a, writable=True) for a in touched if a.backing == "file" and not a.writable)
        return self._change(False, (), copies)

    def _mremap(self, call: Call) -> Remap:
        if not call.succeeded:
            return Remap(False)
        old, old_end = call.argument(0), page_up(call.argument(0) + call.argument(1))
        new, new_end = call.value, page_up(call.value + call.argument(2))
        if new == old:
            return self._change(
                False, ((new_end, old_end),) if new_end < old_end else (), self._longer(old_end, new_end)
            )
        moved = self._areas.overlapping(old, old_end)[:1] or [Area(old, old_end)]
        return self._change(False, ((old, old_end),), (replace(moved[0], start=new, end=new_end),))

    def _longer(self, end: int, new_end: int) -> tuple[Area, ...]:
        before = self._areas.overlapping(end - 1, end)
        if new_end <= end or not before:
            return ()
        offset = before[0].offset + (1 if before[0].backing != "anonymous" else 0)
        return (replace(before[0], start=end, end=new_end, offset=offset),)

    def _brk(self, call: Call) -> Remap:
        before, after = page_up(self._heap_end), page_up(call.value)
        self._heap_end = call.value
        if not before or after == before:
            return Remap(True)
        if after < before:
            return self._change(True, ((after, before),), ())
        return self._change(True, (), (Area(before, after),))

    def _change(self, is_brk: bool, removed: tuple[tuple[int, int], ...], added: tuple[Area, ...]) -> Remap:
        for start, end in removed:
            self._areas.remove(start, end)
        for area in added:
            self._areas.add(area)
        return Remap(is_brk, removed, added)


def initial_areas(mappings: Sequence[Mapping], calls: Sequence[Call]) -> tuple[Area, ...]:
    """What a program began with: its mappings as seen a moment after its start, without what its calls have made.

    Parts that the program makes read-only later (the linker's relocations) were writable. The stack is as long
    as it may become.
    """
    made = [made_by(call) for call in calls if call.succeeded]
    heap = [call.value for call in calls if call.name == "brk" and call.value]
    made.append((min(heap), page_up(max(heap))) if heap else (0, 0))
    sealed = [
        (page_down(call.argument(0)), page_up(call.argument(0) + call.argument(1)))
        for call in calls
        if call.name == "mprotect" and call.succeeded and not call.argument(2) & PROT_WRITE
    ]
    areas = [_area(mapping) for mapping in mappings]
    for start, end in made:
        areas = [piece for area in areas for piece in outside(area, start, end)]
    for start, end in sealed:
        areas = [piece for area in areas for piece in _sealed(area, start, end)]
    return tuple(areas)


def made_by(call: Call) -> tuple[int, int]:
    """[start, end) of the fresh addresses that a successful call maps; empty if none."""
    if call.name == "mmap" and not call.argument(3) & MAP_FIXED:
        return call.value, page_up(call.value + call.argument(1))
    if call.name == "mremap" and call.value != call.argument(0):
        return call.value, page_up(call.value + call.argument(2))
    return 0, 0


def _area(mapping: Mapping) -> Area:
    if mapping.path:
        return Area(mapping.start, mapping.end, "file", mapping.path, mapping.offset, mapping.writable)
    start = min(mapping.start, mapping.end - STACK_BYTES) if mapping.start >= STACKS_START else mapping.start
    return Area(start, mapping.end)


def _sealed(area: Area, start: int, end: int) -> list[Area]:
    if area.backing != "file" or area.writable or end <= area.start or area.end <= start:
        return [area]
    return [*outside(area, start, end), replace(inside(area, start, end), writable=True)]
