"""The TLB of a CPU and the software TLB of a virtual CPU: sections 4 and 5 of ``docs/model.md``."""

from collections import OrderedDict
from typing import NamedTuple

from tests.oracle.memory import KERNEL_KEYS, Frame, Page

Frames = tuple[Frame | None, ...]  # one for each page of a group; None = invalid. Of large kernel pages: none


class Tag(NamedTuple):
    """An aligned group of pages of one key: what a TLB entry is for."""

    key: int
    group: int


class Entry(NamedTuple):
    """A TLB entry: its tag and the frame, or None, of each page of the group."""

    tag: Tag
    frames: Frames


def without(frames: Frames, place: int) -> Frames:
    """``frames`` with the page at ``place`` invalid."""
    return tuple(None if number == place else frame for number, frame in enumerate(frames))


class Tlb:
    """The software-refilled TLB of one CPU with its hardware ASIDs (section 4)."""

    def __init__(self, entries: int, pages_per_entry: int, wired: int, asid_bits: int):
        """Empty, all ASIDs unused."""
        self.entries: list[Entry | None] = [None] * entries
        self.pages_per_entry = pages_per_entry
        self.wired = wired
        self.asids_available = 1 << asid_bits
        self.asids_of: set[int] = set()  # keys with an ASID in the present generation

    def tag_of(self, page: Page) -> Tag:
        """The tag of the group with this page."""
        return Tag(page.key, page.vpn // self.pages_per_entry)

    def frame_at(self, page: Page) -> Frame | None:
        """The frame that an entry gives for this page; None if it has none or there is no such entry."""
        place = self.find(self.tag_of(page))
        if place is None:
            return None
        entry = self.entries[place]
        assert entry is not None
        return entry.frames[page.vpn % self.pages_per_entry]

    def find(self, tag: Tag) -> int | None:
        """Number of the entry with this tag, None if there is none."""
        for number, entry in enumerate(self.entries):
            if entry is not None and entry.tag == tag:
                return number
        return None

    def random(self, retired: int) -> int:
        """The R10000's Random register after so many retired instructions."""
        return len(self.entries) - 1 - retired % (len(self.entries) - self.wired)

    def write(self, tag: Tag, frames: Frames, retired: int) -> None:
        """Rewrites the entry with this tag where it is, else the entry that Random names."""
        place = self.find(tag)
        self.entries[self.random(retired) if place is None else place] = Entry(tag, frames)

    def write_wired(self, tag: Tag, frames: Frames) -> None:
        """Writes entry 0 and removes any other entry with the tag (section 8); nothing if no entry is wired."""
        if self.wired == 0:
            return
        place = self.find(tag)
        if place is not None:
            self.entries[place] = None
        self.entries[0] = Entry(tag, frames)

    def empty_wired(self) -> None:
        """WIRED with page 0 empties entry 0 (section 8); nothing if no entry is wired."""
        if self.wired > 0:
            self.entries[0] = None

    def take_asid(self, key: int) -> bool:
        """Gives a user key its ASID; returns whether a new generation had to begin, with its flush."""
        if key in self.asids_of:
            return False
        is_new_generation = len(self.asids_of) == self.asids_available
        if is_new_generation:
            self.asids_of.clear()
            for number in range(self.wired, len(self.entries)):
                self.entries[number] = None
        self.asids_of.add(key)
        return is_new_generation

    def flush(self) -> None:
        """Empties the whole TLB, wired entries too."""
        self.entries = [None] * len(self.entries)

    def invalidate(self, page: Page) -> None:
        """Makes one page invalid; its entry stays."""
        place = self.find(self.tag_of(page))
        if place is not None:
            entry = self.entries[place]
            assert entry is not None
            self.entries[place] = Entry(entry.tag, without(entry.frames, page.vpn % self.pages_per_entry))


class SoftwareTlb:
    """The monitor's second-level TLB of one virtual CPU (section 5). The last of a set is the most recent."""

    def __init__(self, entries: int, ways: int, pages_per_entry: int):
        """Empty; ``entries`` 0 = there is none."""
        self.ways = ways
        self.pages_per_entry = pages_per_entry
        self.sets: list[OrderedDict[Tag, Frames]] = [OrderedDict() for _ in range(entries // ways)]

    def _set_of(self, tag: Tag) -> OrderedDict[Tag, Frames]:
        return self.sets[(tag.group + tag.key % KERNEL_KEYS * 2654435761) % 2**64 % len(self.sets)]

    def has(self, page: Page) -> bool:
        """Whether a look-up of this page would hit."""
        tag = Tag(page.key, page.vpn // self.pages_per_entry)
        return self.has_tag(tag) and self._set_of(tag)[tag][page.vpn % self.pages_per_entry] is not None

    def has_tag(self, tag: Tag) -> bool:
        """Whether there is an entry with this tag."""
        return bool(self.sets) and tag in self._set_of(tag)

    def look_up(self, page: Page) -> Frames | None:
        """What is held for the page's group if the page itself is valid in it, else None."""
        return self.use(Tag(page.key, page.vpn // self.pages_per_entry)) if self.has(page) else None

    def use(self, tag: Tag) -> Frames:
        """A look-up that hits: the entry is the most recent from now on."""
        self._set_of(tag).move_to_end(tag)
        return self._set_of(tag)[tag]

    def write(self, tag: Tag, frames: Frames) -> None:
        """Overwrites the tag if present, else takes a free way or the least recent one."""
        if not self.sets:
            return
        ways = self._set_of(tag)
        if tag not in ways and len(ways) == self.ways:
            ways.popitem(last=False)
        ways[tag] = frames
        ways.move_to_end(tag)

    def invalidate(self, page: Page) -> None:
        """Makes one page invalid; its entry stays, as recent as it was."""
        for ways in self.sets:
            tag = Tag(page.key, page.vpn // self.pages_per_entry)
            if tag in ways:
                ways[tag] = without(ways[tag], page.vpn % self.pages_per_entry)
