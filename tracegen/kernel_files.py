"""The files that the guest kernel knows: their ids and sizes in the metadata, and the kernel's windows on them."""

from dataclasses import dataclass, replace

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.kernel_layout import KernelLayout, round_up
from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import KERNEL_ASID, File, Segment, TraceMeta


@dataclass(frozen=True)
class _Place:
    """Where a file and its window stand in the metadata."""

    file_index: int
    window_index: int


class FileTable:
    """Files by id. Every method raises TraceError for an id that ``add`` did not give."""

    def __init__(self, meta: TraceMeta, layout: KernelLayout) -> None:
        self._meta = meta
        self._layout = layout
        self._ids: dict[str, int] = {}
        self._places: dict[int, _Place] = {}

    def add(self, name: str, size: int, disk: int) -> int:
        """Id (from 1) of a file, appended to the metadata with a window of asid 0. One id per name; files only grow."""
        found = self._ids.get(name)
        if found is None:
            found = 1 + max((file.id for file in self._meta.files), default=0)
            self._ids[name] = found
            self._places[found] = _Place(len(self._meta.files), len(self._meta.segments))
            start = self._layout.file_window(found)
            self._meta.files.append(File(found, name, size, disk))
            self._meta.segments.append(
                Segment(KERNEL_ASID, start, start + PAGE_BYTES, "file", object=found, writable=False)
            )
        self.grow(found, size)
        return found

    def require(self, file: int) -> None:
        """Raise TraceError when there is no such file."""
        self._place(file)

    def size(self, file: int) -> int:
        """Bytes of a file."""
        return self._meta.files[self._place(file).file_index].size

    def disk(self, file: int) -> int:
        """The disk that a file is on."""
        return self._meta.files[self._place(file).file_index].disk

    def grow(self, file: int, size: int) -> None:
        """A file has at least ``size`` bytes from here on."""
        index = self._place(file).file_index
        known = self._meta.files[index]
        self._meta.files[index] = replace(known, size=max(known.size, size))
        self.cover(file, size)

    def cover(self, file: int, end: int) -> None:
        """Make the window on a file reach to byte ``end``. Raises TraceError when a window has no room for that."""
        place = self._place(file)
        window = self._meta.segments[place.window_index]
        if end > self._layout.window_stride:
            raise TraceError(
                f"file {self._meta.files[place.file_index].name} is used up to byte {end}, beyond its kernel window: "
                "raise memory.file_window_stride_gib of the guest kernel"
            )
        self._meta.segments[place.window_index] = replace(window, end=max(window.end, window.start + round_up(end)))

    def _place(self, file: int) -> _Place:
        found = self._places.get(file)
        if found is None:
            raise TraceError(f"file {file} is not known to the guest kernel: call add_file first")
        return found
