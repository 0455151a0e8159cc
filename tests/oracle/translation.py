"""Translation and refill: sections 3, 4 and 5 of ``docs/model.md``."""

from collections.abc import Mapping
from typing import Any

from tests.oracle.caches import Caches
from tests.oracle.memory import Frame, Layout, Page, is_kseg0, is_page_table, is_unmapped_region, is_user
from tests.oracle.now import Now
from tests.oracle.paging import Paging
from tests.oracle.tlb import Frames, SoftwareTlb, Tag, Tlb
from tests.oracle.tlbs import Tlbs

UTLB_MISS = "kernel:utlb_miss"
LARGE_KEYS = 1 << 62  # large pages of the kernel with key k have key k + 2^62


class Translation:
    """TLB accesses of the CPU that acts, and the refills that they need."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]],
        now: Now,
        layout: Layout,
        caches: Caches,
        tlbs: Tlbs,
        paging: Paging,
    ):
        """No instruction has retired."""
        self.guest, self.monitor = tables["guest"], tables["monitor"]
        self.now, self.layout, self.caches, self.tlbs, self.paging = now, layout, caches, tlbs, paging
        self.is_native = layout.system == "native"
        self.pages_per_entry: int = tables["tlb"]["pages_per_entry"]
        self.large_bytes: int = self.monitor["kernel_page_kib"] * 1024
        self.has_large_pages = not self.is_native and self.large_bytes > layout.page_bytes
        self.retired = [0] * layout.cpus

    @property
    def tlb(self) -> Tlb:
        """The TLB of the CPU that acts."""
        return self.tlbs.hardware[self.now.cpu]

    @property
    def software_tlb(self) -> SoftwareTlb:
        """The software TLB of the virtual CPU that acts."""
        return self.tlbs.software[self.now.vm, self.now.stream]

    def translate(self, page: Page, touched: int) -> Frame:
        """One TLB access, and the refill if it needs one."""
        if self.is_large(touched):
            return self._translate_large(page, touched)
        if is_user(page.key) and self.tlb.take_asid(page.key):
            self.now.count("tlb_flushes")
        frame = self.tlb.frame_at(page)
        if frame is not None:
            self.now.count("tlb_hits")
            return frame
        refill_context = UTLB_MISS if self._is_guests(page) else self.now.context
        self._map_for_refill(page, touched, refill_context)
        tag = self.tlb.tag_of(page)
        self.now.count("tlb_misses" if self.tlb.find(tag) is None else "tlb_invalid")
        with self.now.in_context(refill_context):
            if self.is_native:
                self._run_handler(page, tag)
                self._write_tlb(tag, self.group(tag))
            else:
                self._refill_by_monitor(page, tag)
        return self.paging.frames.nearest_copy(self.paging.mapped(page, touched), self.now.cpu)

    def is_large(self, address: int) -> bool:
        """Whether the address is translated as part of a large page of the kernel (D 4.3)."""
        return self.has_large_pages and is_kseg0(address)

    def _translate_large(self, page: Page, touched: int) -> Frame:
        frame = self.paging.frames.nearest_copy(self.paging.mapped(page, touched), self.now.cpu)
        tag = Tag(page.key + LARGE_KEYS, touched // (self.large_bytes * self.pages_per_entry))
        if self.tlb.find(tag) is not None:
            self.now.count("tlb_hits")
            return frame
        self.now.count("tlb_misses")
        self.retired[self.now.cpu] += self.monitor["refill_instructions"]
        if self.software_tlb.has_tag(tag):
            self.now.count("software_tlb_hits")
            self.software_tlb.use(tag)
        else:
            self.now.count("kernel_tlb_refills")
            self.software_tlb.write(tag, ())
        self._write_tlb(tag, ())
        return frame

    def _is_guests(self, page: Page) -> bool:
        """Whether the guest's handler refills this page; the others are the monitor's (section 5)."""
        address = page.vpn * self.layout.page_bytes
        return self.layout.system != "splashos" and not is_page_table(page.key) and not is_unmapped_region(address)

    def _map_for_refill(self, page: Page, touched: int, refill_context: str) -> None:
        """What the refill will need is mapped before anything of the access is counted (section 5, 0)."""
        with self.now.in_context(refill_context):
            self.paging.mapped(page, touched)
            if self._is_guests(page) and (self.is_native or not self.software_tlb.has(page)):
                self.paging.mapped(self.layout.table_page_of(page), 0)
                self.paging.mapped(page, touched)  # again, if the page of page table took it away

    def _refill_by_monitor(self, page: Page, tag: Tag) -> None:
        held = self.software_tlb.look_up(page)
        if held is not None:
            self.now.count("software_tlb_hits")
            self.retired[self.now.cpu] += self.monitor["refill_instructions"]
            self._write_tlb(tag, held)
            return
        if self._is_guests(page):
            self._run_handler(page, tag)
            self.count_patchable(self.guest["refill_registers"])
            self.now.count("tlb_writes_emulated")
        else:
            self.now.count("kernel_tlb_refills")
        self.retired[self.now.cpu] += self.monitor["refill_instructions"]
        self.software_tlb.write(tag, self.group(tag))
        self._write_tlb(tag, self.group(tag))

    def _run_handler(self, page: Page, tag: Tag) -> None:
        """The guest's handler: its instructions and the load of the group's page table entries (native 1 and 2)."""
        self.now.count("guest_refills")
        self.execute(self.guest["refill_instructions"])
        table_page = self.layout.table_page_of(page)
        frame = self.paging.mapped(table_page, 0) if self.is_native else self.translate(table_page, 0)
        self.now.count("page_table_loads")
        self.caches.access(self.now.cpu, "load", tag.group * self.pages_per_entry * 4, frame)

    def group(self, tag: Tag) -> Frames:
        """Every page of the group that is mapped now, in the copy on this node if there is one; others invalid."""
        masters = [
            self.paging.frame_of(Page(tag.key, tag.group * self.pages_per_entry + place))
            for place in range(self.pages_per_entry)
        ]
        return tuple(
            None if master is None else self.paging.frames.nearest_copy(master, self.now.cpu) for master in masters
        )

    def _write_tlb(self, tag: Tag, frames: Frames) -> None:
        self.tlb.write(tag, frames, self.retired[self.now.cpu])

    def write_wired(self, page: Page, touched: int) -> None:
        """Entry 0 holds the group of this page from here on, in small pages (section 8)."""
        self.paging.mapped(page, touched)
        tag = self.tlb.tag_of(page)
        if not self.is_native:
            self.software_tlb.write(tag, self.group(tag))
        self.tlb.write_wired(tag, self.group(tag))

    def execute(self, instructions: int) -> None:
        """Instructions of the guest retire."""
        self.now.count("instructions", instructions)
        self.retired[self.now.cpu] += instructions

    def count_patchable(self, number: int) -> None:
        """Privileged register accesses, which the monitor can patch (D 4.3)."""
        self.now.count("privileged_patched" if self.monitor["patch_registers"] else "privileged_emulated", number)
