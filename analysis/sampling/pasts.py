"""Outlines, trails and chronicles of traces, kept in a folder: each is made once."""

from collections.abc import Callable
from pathlib import Path

from discotrace.analysis.decisive import decisive, policy_content
from discotrace.analysis.keeping import digest, make_folder, sources_digest
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.run import new_system
from discotrace.monitor.placement.registry import find_policy
from discotrace.replay import chronicle as chronicles
from discotrace.replay.machine import Machine
from discotrace.replay.piece import Past
from discotrace.tracegen import outline as outlines
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.outline import Outline
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.trail import writing_trail

OF_CPUS = ("tlb", "l1i", "l1d", "l2", "migration")  # tables that do not decide what memory holds while no page moves


def moves_pages(system: str, machine: Machine) -> bool:
    """Whether pages that are missed often move under a system."""
    if system == NATIVE or machine.nodes == 1:
        return False
    return find_policy(machine.placement.policy)(machine).hot_trigger > 0


def chronicle_key(system: str, machine: Machine) -> str:
    """A name for what memory holds under a system: the hash of all that decides it but the trace."""
    tables = decisive(system, machine)
    if not moves_pages(system, machine):
        tables = {name: table for name, table in tables.items() if name not in OF_CPUS}
    sources = sources_digest("discotrace.replay", "discotrace.monitor")
    policy = policy_content(system, machine)
    return digest({"system": system, "machine": tables, "policy": policy, "sources": sources})


class Pasts:
    """A folder of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trail(self, reader: TraceReader) -> Path:
        """Where the trail of a trace is, or belongs."""
        return self._path(reader, "trail.parquet")

    def missing_rows(self, reader: TraceReader) -> int:
        """Rows that must be read before the first interval can be replayed: those of the trace, or none."""
        return 0 if self._path(reader, "outline.npz").exists() else reader.rows

    def outline(self, reader: TraceReader, on_rows: Callable[[int], None]) -> Outline:
        """The outline of a trace; made, with its trail, if it is not here. Raises TraceError, OutputError."""
        path = self._path(reader, "outline.npz")
        if not path.exists():
            make_folder(path.parent)
            with writing_trail(self.trail(reader)) as trail:
                found = outlines.outline_of(reader, trail, on_rows)
            outlines.save(path, found)
        return outlines.load(path)

    def past(
        self,
        reader: TraceReader,
        system: str,
        machine: Machine,
        of: Outline,
        on_rows: Callable[[int], None] = lambda rows: None,
    ) -> Past:
        """What memory held at any row of a trace under a system; made if it is not here. Raises as a replay does.

        ``machine`` has its CPUs resolved. ``on_rows`` is told how many more rows of the trace are behind it.
        """
        path = self._chronicle(reader, system, machine)
        if not path.exists():
            moves = moves_pages(system, machine)
            parts = chronicles.parts_of_trail(of, self.trail(reader)) if moves else chronicles.parts_of(of)
            made = chronicles.chronicle_of(new_system(system, reader.meta, machine), reader.meta, parts, on_rows)
            chronicles.save(path, made)
        return Past(reader.meta, of, chronicles.load(path))

    def check(self, reader: TraceReader, system: str, machine: Machine) -> None:
        """Raises TraceError where outline and chronicle are not here: they were made by somebody who has another
        folder, trace or placement policy."""
        if self.missing_rows(reader) or not self._chronicle(reader, system, machine).exists():
            raise TraceError(
                f"nothing is known here of {reader.source} under {system}: whoever replays intervals must see the same "
                f"trace, the same placement policy and the folder {self.folder}"
            )

    def _chronicle(self, reader: TraceReader, system: str, machine: Machine) -> Path:
        return self._path(reader, f"{chronicle_key(system, machine)}.npz")

    def _path(self, reader: TraceReader, name: str) -> Path:
        sources = sources_digest("discotrace.tracegen")
        return self.folder / digest({"trace": reader.identity(), "sources": sources}) / name
