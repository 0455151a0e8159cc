"""Virtual pages and the guest pages they stand for, in both directions.

The second direction is the backmap, by which a shootdown finds the pages to invalidate (D 4.2.1).
"""

from collections import defaultdict
from typing import NamedTuple

from discotrace.replay.segments import Identity

PAGE_TABLE_KEY = 1 << 32  # added to a key: the page tables of that key
_KERNEL_KEY_SHIFT = 33

VirtualPage = tuple[int, int]  # key, vpn


def kernel_key(vm: int) -> int:
    """Key of the kernel pages of a VM."""
    return vm << _KERNEL_KEY_SHIFT


def is_user_key(key: int) -> bool:
    """Whether pages with this key belong to a process."""
    return 0 < key < PAGE_TABLE_KEY


def owner_of(key: int) -> str:
    """Whose pages have this key, in words."""
    if key >> 32 & 1:
        return "page table of " + owner_of(key - PAGE_TABLE_KEY)
    return f"process {key}" if is_user_key(key) else f"kernel of VM {key >> _KERNEL_KEY_SHIFT}"


class Mapping(NamedTuple):
    """The guest page of a virtual page. Without an identity it is the virtual page's alone."""

    vm: int
    gfn: int
    identity: Identity | None


class Mappings:
    """The mapped virtual pages of one replay."""

    def __init__(self) -> None:
        self._by_key: dict[int, dict[int, Mapping]] = defaultdict(dict)
        self._pages_of: dict[tuple[int, int], dict[VirtualPage, None]] = defaultdict(dict)

    def add(self, key: int, vpn: int, mapping: Mapping) -> None:
        """Map a virtual page."""
        self._by_key[key][vpn] = mapping
        self._pages_of[mapping.vm, mapping.gfn][key, vpn] = None

    def remove(self, key: int, vpn: int) -> Mapping:
        """Unmap a virtual page that is mapped."""
        mapping = self._by_key[key].pop(vpn)
        pages = self._pages_of[mapping.vm, mapping.gfn]
        del pages[key, vpn]
        if not pages:
            del self._pages_of[mapping.vm, mapping.gfn]
        return mapping

    def get(self, key: int, vpn: int) -> Mapping:
        """What a mapped virtual page stands for."""
        return self._by_key[key][vpn]

    def has(self, key: int, vpn: int) -> bool:
        """Whether a virtual page is mapped."""
        return vpn in self._by_key.get(key, ())

    def of_key(self, key: int) -> list[int]:
        """The mapped pages of a key, ascending."""
        return sorted(self._by_key.get(key, ()))

    def pages_of(self, vm: int, gfn: int) -> list[VirtualPage]:
        """The backmap: virtual pages that stand for a guest page, ascending."""
        return sorted(self._pages_of.get((vm, gfn), ()))

    def keys_of(self, vm: int) -> list[int]:
        """Keys with pages of a VM."""
        return sorted({key for (owner, _), pages in self._pages_of.items() if owner == vm for key, _ in pages})

    def all(self) -> dict[VirtualPage, Mapping]:
        """Every mapped virtual page."""
        return {(key, vpn): mapping for key, pages in self._by_key.items() for vpn, mapping in pages.items()}
