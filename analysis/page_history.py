"""Histories of pages: who missed on one, when it was moved, copied or collapsed, and why.

What a person who tunes a placement policy looks at. A page is named as on the command line: ``7:0x7ff0123000`` is of
process 7, ``kernel:0xffffffff80012000`` of the kernel of VM 0, ``kernel2:0x...`` of that of VM 2.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from discotrace.monitor.history import Action
from discotrace.replay.mappings import PAGE_TABLE_KEY, is_user_key, kernel_key
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import KERNEL_ASID, KERNEL_BASE, TraceMeta

Page = tuple[int, int]  # key and number of a virtual page (``docs/model.md`` section 2)
Misses = Mapping[Page, Sequence[int]]  # of L2 by CPU, for the lowest of the virtual pages that show a frame

_FORM = re.compile(r"(?:(\d{1,10})|kernel(\d{0,2})):0x([0-9a-f]{1,16})", re.IGNORECASE)
_EXPECTED = "expected ASID:0xADDRESS, kernel:0xADDRESS (of VM 0), kernel2:0xADDRESS (of VM 2), or hot"


@dataclass(frozen=True)
class PageHistory:
    """What happened to a page.

    ``page`` as on the command line; ``names``: all virtual pages that showed it, itself first; ``misses`` of L2 by CPU,
    over the whole replay.
    """

    page: str
    names: list[str]
    file: str
    misses: list[int]
    actions: list[Action]

    @property
    def times(self) -> Counter[str]:
        """How often each action was done on it."""
        return Counter(action.what for action in self.actions)


def page_of(text: str, page_bytes: int) -> Page:
    """The page of an address as the command line names it. Raises ConfigError."""
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise ConfigError(f"page {text!r}: {_EXPECTED}")
    asid, vm, address = parts[1], parts[2], int(parts[3], 16)
    if (asid is None) != (address >= KERNEL_BASE):
        owner = "the kernel" if address >= KERNEL_BASE else "processes"
        raise ConfigError(f"page {text!r}: the address is one of {owner}; {_EXPECTED}")
    return (kernel_key(int(vm or 0)) if asid is None else int(asid)), address // page_bytes


def page_text(page: Page, page_bytes: int) -> str:
    """The page as the command line names it; pages of page tables, which it cannot name, by their owner."""
    key, vpn = page
    if key & PAGE_TABLE_KEY:
        return f"page table {vpn} of {_owner_text(key - PAGE_TABLE_KEY)}"
    return f"{_owner_text(key)}:{vpn * page_bytes:#x}"


def _owner_text(key: int) -> str:
    if is_user_key(key):
        return str(key)
    vm = key // kernel_key(1)
    return f"kernel{vm or ''}"


def page_name(page: Page, meta: TraceMeta, page_bytes: int) -> str:
    """The page in words: process 7 (cc1) 0x7ff0123000."""
    key, vpn = page
    if key & PAGE_TABLE_KEY:
        return f"page table {vpn} of " + _owner_name(key - PAGE_TABLE_KEY, meta)
    return f"{_owner_name(key, meta)} {vpn * page_bytes:#x}"


def _owner_name(key: int, meta: TraceMeta) -> str:
    if is_user_key(key):
        name = next((process.name for process in meta.processes if process.asid == key), "?")
        return f"process {key} ({name})"
    return f"kernel of VM {key // kernel_key(1)}"


def file_page(page: Page, meta: TraceMeta, page_bytes: int) -> str:
    """The page of a file that a virtual page shows by the first segment that says so: name, page 5. Else empty."""
    key, vpn = page
    asid, address = key if is_user_key(key) else KERNEL_ASID, vpn * page_bytes
    names = {file.id: file.name for file in meta.files}
    for segment in meta.segments:
        is_of_file = segment.backing == "file" and not segment.writable and not key & PAGE_TABLE_KEY
        if is_of_file and segment.asid == asid and segment.start <= address < segment.end:
            offset = segment.offset + address - segment.start
            return f"{names.get(segment.object, '?')}, page {offset // page_bytes}"
    return ""


class Histories:
    """What one replay wrote down, by page."""

    def __init__(self, actions: Sequence[Action], misses: Misses, meta: TraceMeta, page_bytes: int) -> None:
        self._misses = misses
        self._meta = meta
        self._page_bytes = page_bytes
        self._actions: dict[Page, list[Action]] = defaultdict(list)
        for action in actions:
            for page in action.pages:
                self._actions[page].append(action)

    def of(self, page: Page) -> PageHistory:
        """The history of a page, and of those that showed the same frame when something was done with it.

        Raises ConfigError for a page of which nothing is known.
        """
        pages = self._together(page)
        actions = self._actions.get(page, [])
        if not actions and page not in self._misses:
            wanted = page_text(page, self._page_bytes)
            raise ConfigError(f"page {wanted}: no CPU missed on it under this name; explain hot TRACE lists pages")
        files = [file_page(one, self._meta, self._page_bytes) for one in pages]
        return PageHistory(
            page=page_text(page, self._page_bytes),
            names=[page_name(one, self._meta, self._page_bytes) for one in pages],
            file=next(filter(None, files), ""),
            misses=self._missed(pages),
            actions=actions,
        )

    def hottest(self, top: int) -> list[PageHistory]:
        """The pages with the most misses, at most ``top``; one that several virtual pages show stands once."""
        misses: dict[Page, int] = {}
        shown: set[Page] = set()
        for page in sorted(self._misses, key=lambda page: (-sum(self._misses[page]), page)):
            if page not in shown:
                pages = self._together(page)
                shown.update(pages)
                misses[page] = sum(self._missed(pages))
        return [self.of(page) for page in sorted(misses, key=lambda page: (-misses[page], page))[:top]]

    def _together(self, page: Page) -> list[Page]:
        """The page first, then those that an action names with it."""
        actions = self._actions.get(page, ())
        return list(dict.fromkeys([page, *(other for action in actions for other in action.pages)]))

    def _missed(self, pages: list[Page]) -> list[int]:
        found = [self._misses[page] for page in pages if page in self._misses]
        return [sum(of_cpu) for of_cpu in zip(*found, strict=True)]
