"""What the engine does to the machine between two runs of the replay loop: map, unmap, shoot down, drop lines."""

import numpy as np

from discotrace.replay.kernels.compile import entry
from discotrace.replay.kernels.lanes import drop_lines_of_frame
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.page_map import change_frame, insert_all, insert_page, remove_page
from discotrace.replay.kernels.shootdown import forget_translations
from discotrace.replay.kernels.state import PageMap, State
from discotrace.replay.kernels.system import forget_page


@entry
def page_map_insert(pages: PageMap, key: int, vpn: int, frame: int) -> None:
    """Map page (key, vpn), which is not mapped, in a table that has room."""
    insert_page(pages, np.uint64(key), np.uint64(vpn), frame)


@entry
def page_map_remove(pages: PageMap, key: int, vpn: int) -> None:
    """Unmap page (key, vpn), which is mapped."""
    remove_page(pages, np.uint64(key), np.uint64(vpn))


@entry
def page_map_change(pages: PageMap, key: int, vpn: int, frame: int) -> None:
    """Give page (key, vpn), which is mapped, another frame."""
    change_frame(pages, np.uint64(key), np.uint64(vpn), frame)


@entry
def page_map_insert_all(source: PageMap, target: PageMap) -> None:
    """Copy all mappings into a table that has room."""
    insert_all(source, target)


@entry
def shoot_down(s: State, key: int, vpn: int, cpus: np.uint64) -> np.uint64:
    """Page (key, vpn) becomes invalid in the TLB and the software TLBs of ``cpus`` (bit c = CPU c); entries stay.

    Returns the mask of all CPUs, not only of ``cpus``, whose TLB held the page valid before.
    """
    held = forget_translations(s, np.uint64(key), np.uint64(vpn), cpus)
    forget_page(s.system, s, np.uint64(key), np.uint64(vpn), cpus)
    return held


@entry
def drop_lines(s: State, frame: int) -> None:
    """All lines of a frame leave every cache and the directory; nothing is written back or counted."""
    drop_lines_of_frame(s.caches, signed(frame))
