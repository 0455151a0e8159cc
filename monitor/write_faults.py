"""Stores to read-only frames: copy on write for shared ones (D 4.2.4), collapse for replicated ones (D 4.2.2)."""

from discotrace.monitor.frames import MonitorFrames
from discotrace.monitor.memmap import GuestPage
from discotrace.replay.counts import Event


def resolve_write_fault(frames: MonitorFrames, page: GuestPage) -> None:
    """A guest stores to a page whose frame is read-only. Raises ConfigError when memory is full."""
    if frames.memmap[frames.slot(page)].is_sealed:
        copy_on_write(frames, page)
    else:
        collapse(frames, frames.slot(page))


def copy_on_write(frames: MonitorFrames, page: GuestPage) -> None:
    """The guest page gets a frame of its own with the same contents."""
    frames.now.count(Event.COW_FAULTS)
    frames.history.note(frames, frames.slot(page), "copied on write", (), "a store to a shared frame", None)
    private = frames.new()
    frames.copy(frames.slot(page), private, Event.PAGES_COPIED)
    frames.rebind(page, private)


def collapse(frames: MonitorFrames, master: int) -> None:
    """All replicas go, and one frame, which may be written, is left."""
    frames.now.count(Event.COLLAPSES)
    frames.history.note(frames, master, "collapsed", (), "a store, or a move, of a page with replicas", None)
    nodes = sorted(frames.memmap[master].replicas)
    frames.shootdown.take(frames.virtual_pages(master), frames.hardware.cpus_of_nodes(nodes))
    for node in nodes:
        frames.drop_replica(master, node)
