"""The rule ``metadata`` of the trace format, for metadata that may still grow."""

from discotrace.tracegen.live_segments import NO_SEGMENT, LiveSegments
from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import BACKINGS, KERNEL_BASE, File, Process, Segment, TraceMeta

_MAX_ASID = (1 << 32) - 1
_MAX_CPUS = 1 << 16
_ADDRESSES = 1 << 64


class MetadataChecker:
    """Checks processes, segments and files as they are appended to one TraceMeta."""

    def __init__(self, meta: TraceMeta) -> None:
        self._meta = meta
        self._processes = self._segments = self._files = 0  # entries seen
        self.asids: set[int] = set()
        self.file_ids: set[int] = set()
        # The segments that hold from the first record on. Only these can be compared without the MAP records.
        self._static = LiveSegments()

    def check(self) -> list[str]:
        """What is wrong with the entries that were appended since the last call, in sentences."""
        meta = self._meta
        faults = [] if 1 <= meta.cpus <= _MAX_CPUS else [f"cpus is {meta.cpus}, expected 1 to {_MAX_CPUS}"]
        processes, self._processes = meta.processes[self._processes :], len(meta.processes)
        files, self._files = meta.files[self._files :], len(meta.files)
        first_segment, self._segments = self._segments, len(meta.segments)
        for process in processes:
            faults += self._process(process)
        faults += [
            f"process {process.asid} has parent {process.parent}, which is not declared"
            for process in processes
            if process.parent and process.parent not in self.asids
        ]
        for file in files:
            faults += self._file(file)
        for number in range(first_segment, len(meta.segments)):
            faults += [f"segment {number} {fault}" for fault in self._segment(number, meta.segments[number])]
        return faults

    def _process(self, process: Process) -> list[str]:
        if not _are_integers(process.asid, process.parent, process.instance) or not isinstance(process.name, str):
            return [f"{process} has a field of a wrong type"]
        if not 1 <= process.asid <= _MAX_ASID:
            return [f"process {process.name} has asid {process.asid}, expected 1 to {_MAX_ASID}"]
        if process.asid in self.asids:
            return [f"asid {process.asid} is declared twice"]
        self.asids.add(process.asid)
        return []

    def _file(self, file: File) -> list[str]:
        if not _are_integers(file.id, file.size, file.disk) or not isinstance(file.name, str):
            return [f"{file} has a field of a wrong type"]
        if not 0 <= file.id <= _MAX_ASID or file.size < 0 or file.disk < 0:
            return [f"file {file.id} has a field that is out of range: {file}"]
        if file.id in self.file_ids:
            return [f"file id {file.id} is declared twice"]
        self.file_ids.add(file.id)
        return []

    def _segment(self, number: int, segment: Segment) -> list[str]:
        numbers = (segment.asid, segment.start, segment.end, segment.object, segment.offset)
        flags = isinstance(segment.writable, bool) and isinstance(segment.by_event, bool)
        if not _are_integers(*numbers) or not flags:
            return ["has a field of a wrong type"]
        faults = self._place(segment) + self._backing(segment)
        if not faults and not segment.by_event:
            other = self._static.add(number, segment)
            if other != NO_SEGMENT:
                faults.append(f"overlaps segment {other}, and both hold from the first record on")
        return faults

    def _place(self, segment: Segment) -> list[str]:
        if not 0 <= segment.start < segment.end <= _ADDRESSES:
            return [f"runs from {segment.start:#x} to {segment.end:#x}, expected start < end in 64 bits"]
        if segment.start % PAGE_BYTES or segment.end % PAGE_BYTES:
            return [f"runs from {segment.start:#x} to {segment.end:#x}, expected multiples of {PAGE_BYTES}"]
        if segment.asid and segment.asid not in self.asids:
            return [f"belongs to asid {segment.asid}, which is not declared"]
        if segment.asid and segment.end > KERNEL_BASE:
            return [f"holds kernel addresses but belongs to asid {segment.asid}, expected 0"]
        return []

    def _backing(self, segment: Segment) -> list[str]:
        if segment.backing not in BACKINGS:
            return [f"has backing {segment.backing!r}, expected one of {', '.join(BACKINGS)}"]
        if segment.backing == "file" and segment.object not in self.file_ids:
            return [f"is backed by file {segment.object}, which is not declared"]
        if segment.object < 0 or segment.offset < 0:
            return [f"has object {segment.object} and offset {segment.offset}, expected no negative number"]
        return []


def metadata_faults(meta: TraceMeta) -> list[str]:
    """What is wrong with complete metadata, in sentences; an empty list if nothing is."""
    return MetadataChecker(meta).check()


def _are_integers(*values: object) -> bool:
    # bool is an int to Python, but true is no number in JSON; numpy's integers cannot be written as JSON.
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)
