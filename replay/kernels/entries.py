"""Page-map operations for the engine, which maps and unmaps pages between two runs of the replay loop."""

import numpy as np

from discotrace.replay.kernels.compile import entry
from discotrace.replay.kernels.page_map import insert_all, insert_page, remove_page
from discotrace.replay.kernels.state import PageMap


@entry
def page_map_insert(pages: PageMap, key: int, vpn: int, frame: int) -> None:
    """Map page (key, vpn), which is not mapped, in a table that has room."""
    insert_page(pages, np.uint64(key), np.uint64(vpn), frame)


@entry
def page_map_remove(pages: PageMap, key: int, vpn: int) -> None:
    """Unmap page (key, vpn), which is mapped."""
    remove_page(pages, np.uint64(key), np.uint64(vpn))


@entry
def page_map_insert_all(source: PageMap, target: PageMap) -> None:
    """Copy all mappings into a table that has room."""
    insert_all(source, target)
