"""How much memory is in use, as the guests see it and as it is: the figures of the paper's section 5.4."""

from collections import Counter

from tests.oracle.frames import Frames
from tests.oracle.guest import Guest

CATEGORIES = ("text", "buffer", "data", "user")


def footprint(guests: list[Guest], frames: Frames) -> dict[str, dict[str, int]]:
    """``virtual`` has guest pages in use by category, ``machine`` has frames, each counted once.

    A frame counts by the present category of the guest page that has used it for longest, if one does; as ``log``
    if only logs use it, as ``disk_cache`` if nothing but the global disk cache does, as ``replica`` if it is one.
    """
    virtual = Counter(frames.categories[page] for guest in guests for page in guest.in_use)
    machine = Counter(frames.categories[users[0]] for users in frames.memmap.values())
    in_logs = set(frames.logs.values())
    machine["log"] = len(in_logs - frames.memmap.keys())
    machine["disk_cache"] = len(set(frames.disk_cache.values()) - frames.memmap.keys() - in_logs)
    machine["replica"] = sum(len(copies) for copies in frames.copies.values())
    return {
        "virtual": {category: virtual[category] for category in CATEGORIES},
        "machine": {use: machine[use] for use in (*CATEGORIES, "replica", "log", "disk_cache")},
    }
