"""The machine and the system software's structure: what another replay is needed for when it changes.

Frozen dataclasses filled from TOML tables; no latency and no price is here (``discotrace.analysis.prices`` has
those). ``docs/model.md`` says what each number does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_origin

from discotrace.tracegen.errors import ConfigError

MAX_CPUS = 64  # the directory keeps the holders of a line in one 64-bit word
MAX_NODES = 1024  # far beyond any machine; each has lists of its own
MAX_VMS = 64
LARGEST = 1 << 30  # of any other number, so that products of two of them stay within 64 bits
NATIVE_PLACEMENTS = ("round-robin", "first-touch", "random")


def is_power_of_two(n: int) -> bool:
    """Whether n is 1, 2, 4, 8 ..."""
    return n > 0 and n & (n - 1) == 0


@dataclass(frozen=True)
class Cpus:
    """Processors and nodes. ``count`` 0 = as many as the trace has; ``nodes`` 0 = as many as the processors need."""

    count: int
    per_node: int
    nodes: int


@dataclass(frozen=True)
class Memory:
    """Memory of one node, and the page size."""

    mib_per_node: int
    page_kib: int


@dataclass(frozen=True)
class Tlb:
    """The software-refilled TLB of one CPU."""

    entries: int
    pages_per_entry: int
    wired: int
    asid_bits: int


@dataclass(frozen=True)
class Cache:
    """One first-level cache of one CPU."""

    size_kib: int
    ways: int
    line_b: int

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.size_kib * 1024 // (self.ways * self.line_b)


@dataclass(frozen=True)
class SecondCache(Cache):
    """The second-level cache of one CPU. ``inclusive``: what leaves it leaves the first level too."""

    inclusive: bool


@dataclass(frozen=True)
class Hierarchy:
    """The caches of every CPU of a machine."""

    l1i: Cache
    l1d: Cache
    l2: SecondCache


@dataclass(frozen=True)
class Vms:
    """Virtual machines under the monitor. ``nfs``: the first serves all files to the others."""

    count: int
    nfs: bool


@dataclass(frozen=True)
class Placement:
    """Which node a new frame comes from: natively, and under the monitor, where the policy may also move pages."""

    native: str
    policy: str


@dataclass(frozen=True)
class Migration:
    """Thresholds of the policies that move pages (``docs/model.md`` section 9)."""

    trigger: int
    sharing: int
    writes: int
    moves: int
    reset_instructions: int
    origin_difference: int
    origin_bounces: int


@dataclass(frozen=True)
class Guest:
    """The guest OS: its TLB refill handler (instructions, CP0 registers), its buffer cache, its network code."""

    refill_instructions: int
    refill_registers: int
    buffer_cache_percent: int
    bcopy_remaps: bool
    mbuf_links_apart: bool


@dataclass(frozen=True)
class Disks:
    """Disks that are not copy-on-write, by their numbers in the trace."""

    persistent: list[int]


@dataclass(frozen=True)
class Monitor:
    """The structure of the Disco monitor."""

    software_tlb_entries: int
    software_tlb_ways: int
    refill_instructions: int
    kernel_page_kib: int
    patch_registers: bool
    zero_page_hint: bool
    free_page_hint: bool
    idle_hint: bool


@dataclass(frozen=True)
class Machine:
    """Everything structural of one configuration, table by table as in the TOML file."""

    cpu: Cpus
    memory: Memory
    tlb: Tlb
    l1i: Cache
    l1d: Cache
    l2: SecondCache
    vm: Vms
    placement: Placement
    migration: Migration
    guest: Guest
    disks: Disks
    monitor: Monitor

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]]) -> "Machine":
        """A checked machine from nested tables.

        Raises ConfigError, naming the key, for a missing or unknown one, a wrong type or an impossible value.
        """
        parts = {}
        for table in fields(cls):
            if table.name not in tables:
                raise ConfigError(f"configuration: table [{table.name}] is missing")
            parts[table.name] = _fill(table.type, table.name, tables[table.name])
        unknown = sorted(set(tables) - set(parts))
        if unknown:
            raise ConfigError(f"configuration: unknown table [{unknown[0]}]; known: {', '.join(parts)}")
        machine = cls(**parts)
        _check(machine)
        return machine

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """The inverse of ``from_tables``."""
        return {name: dict(vars(table)) for name, table in vars(self).items()}

    def for_trace(self, cpus: int) -> "Machine":
        """This machine with ``cpu.count`` 0 resolved to the CPUs of a trace, checked again."""
        if self.cpu.count:
            return self
        machine = replace(self, cpu=replace(self.cpu, count=cpus))
        _check(machine)
        return machine

    @property
    def caches(self) -> Hierarchy:
        """The caches of every CPU."""
        return Hierarchy(self.l1i, self.l1d, self.l2)

    @property
    def nodes(self) -> int:
        """Nodes of the machine; those that the CPUs do not fill give their memory."""
        return self.cpu.nodes or -(-self.cpu.count // self.cpu.per_node)

    @property
    def cpu_nodes(self) -> int:
        """Nodes that have CPUs."""
        return -(-self.cpu.count // self.cpu.per_node)

    @property
    def page_bytes(self) -> int:
        """Page size in bytes."""
        return self.memory.page_kib * 1024

    @property
    def frames_per_node(self) -> int:
        """Machine frames in one node's memory."""
        return self.memory.mib_per_node * 1024 // self.memory.page_kib


def _fill(kind: Any, table: str, values: Mapping[str, Any]) -> Any:
    known = {f.name: f.type for f in fields(kind)}
    for key in values:
        if key not in known:
            raise ConfigError(f"configuration: unknown key {table}.{key}; known: {', '.join(known)}")
    for key, expected in known.items():
        if key not in values:
            raise ConfigError(f"configuration: {table}.{key} is missing")
        if type(values[key]) is not (get_origin(expected) or expected):
            wanted = getattr(expected, "__name__", expected)
            raise ConfigError(f"configuration: {table}.{key} is {values[key]!r}, expected {wanted}")
    return kind(**values)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(f"configuration: {message}")


def _check(m: Machine) -> None:
    for table, key in POSITIVE:
        value = getattr(getattr(m, table), key)
        _require(value > 0, f"{table}.{key} is {value}, expected a positive number")
    for table, key in NOT_NEGATIVE:
        value = getattr(getattr(m, table), key)
        _require(value >= 0, f"{table}.{key} is {value}, expected zero or more")
    for table, key in POSITIVE + NOT_NEGATIVE:
        value = getattr(getattr(m, table), key)
        _require(value <= LARGEST, f"{table}.{key} is {value}, expected at most {LARGEST}")
    _require(m.cpu.count <= MAX_CPUS, f"cpu.count is {m.cpu.count}, at most {MAX_CPUS} are modelled")
    _require(m.cpu.nodes <= MAX_NODES, f"cpu.nodes is {m.cpu.nodes}, at most {MAX_NODES} are modelled")
    _require(
        m.cpu.nodes == 0 or m.cpu.count <= m.cpu.nodes * m.cpu.per_node,
        f"{m.cpu.count} CPUs do not fit: cpu.nodes = {m.cpu.nodes} nodes hold cpu.per_node = {m.cpu.per_node} each",
    )
    _require(is_power_of_two(m.memory.page_kib), f"memory.page_kib is {m.memory.page_kib}, expected a power of two")
    _require(m.memory.page_kib >= 4, f"memory.page_kib is {m.memory.page_kib}, expected at least 4")
    _require(m.frames_per_node > 0, "memory.mib_per_node is less than one page")
    _check_caches(m)
    _check_tlbs(m)
    _check_vms(m)


def _check_vms(m: Machine) -> None:
    _require(m.vm.count <= MAX_VMS, f"vm.count is {m.vm.count}, at most {MAX_VMS} are modelled")
    _require(
        m.placement.native in NATIVE_PLACEMENTS,
        f"placement.native is {m.placement.native!r}, expected one of {', '.join(NATIVE_PLACEMENTS)}",
    )
    _require(
        m.guest.buffer_cache_percent <= 100,
        f"guest.buffer_cache_percent is {m.guest.buffer_cache_percent}, expected at most 100",
    )
    kernel_page = m.monitor.kernel_page_kib
    _require(is_power_of_two(kernel_page), f"monitor.kernel_page_kib is {kernel_page}, expected a power of two")
    for disk in m.disks.persistent:
        _require(type(disk) is int and disk >= 0, f"disks.persistent has {disk!r}, expected numbers of disks")
    _require(
        m.cpu.count == 0 or m.vm.count <= m.nodes * m.frames_per_node,
        f"vm.count is {m.vm.count}: there are fewer pages of memory than virtual machines",
    )


def _check_caches(m: Machine) -> None:
    for name in ("l1i", "l1d", "l2"):
        cache: Cache = getattr(m, name)
        _require(is_power_of_two(cache.line_b), f"{name}.line_b is {cache.line_b}, expected a power of two")
        whole = cache.sets * cache.ways * cache.line_b == cache.size_kib * 1024
        _require(
            whole and is_power_of_two(cache.sets),
            f"{name}: {cache.size_kib} KiB in {cache.ways} ways of {cache.line_b} B lines "
            f"gives {cache.size_kib * 1024 / (cache.ways * cache.line_b):g} sets, expected a power of two",
        )
        _require(cache.line_b <= m.l2.line_b, f"{name}.line_b is larger than l2.line_b")
        _require(cache.line_b <= m.page_bytes, f"{name}.line_b is larger than a page")
    _require(
        m.l2.inclusive or m.cpu.count <= 1,
        f"l2.inclusive = false needs cpu.count = 1, not {m.cpu.count}: the directory knows second-level caches alone",
    )


def _check_tlbs(m: Machine) -> None:
    _require(m.tlb.pages_per_entry in (1, 2), f"tlb.pages_per_entry is {m.tlb.pages_per_entry}, expected 1 or 2")
    _require(
        m.tlb.wired < m.tlb.entries, f"tlb.wired is {m.tlb.wired}, expected fewer than the {m.tlb.entries} entries"
    )
    _require(1 <= m.tlb.asid_bits <= 16, f"tlb.asid_bits is {m.tlb.asid_bits}, expected 1 to 16")
    entries, ways = m.monitor.software_tlb_entries, m.monitor.software_tlb_ways
    _require(
        entries == 0 or (entries % ways == 0 and is_power_of_two(entries // ways)),
        f"monitor: {entries} software TLB entries in {ways} ways gives {entries / ways:g} sets, "
        "expected a power of two",
    )


POSITIVE = [
    ("cpu", "per_node"),
    ("memory", "mib_per_node"),
    ("memory", "page_kib"),
    ("tlb", "entries"),
    ("vm", "count"),
    ("migration", "reset_instructions"),
    ("monitor", "software_tlb_ways"),
    ("monitor", "kernel_page_kib"),
    *((cache, key) for cache in ("l1i", "l1d", "l2") for key in ("size_kib", "ways", "line_b")),
]
NOT_NEGATIVE = [
    ("cpu", "count"),
    ("cpu", "nodes"),
    ("tlb", "wired"),
    ("guest", "refill_instructions"),
    ("guest", "refill_registers"),
    *(("migration", key) for key in ("trigger", "sharing", "writes", "moves", "origin_difference", "origin_bounces")),
    ("guest", "buffer_cache_percent"),
    ("monitor", "software_tlb_entries"),
    ("monitor", "refill_instructions"),
]
