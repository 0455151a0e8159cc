"""A workload in a file, small enough for tests of what is around workloads."""

from pathlib import Path

TOY = '''"""Touches pages."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from discotrace.tracegen.schema import Segment
from discotrace.tracegen.workloads.emit import Text, references, run, store
from discotrace.tracegen.workloads.program import Exec
from discotrace.tracegen.workloads.workload import Workload


@dataclass(frozen=True)
class Toy(Workload):
    """Stores once to each page, time and again."""

    summary: ClassVar[str] = "stores to pages"
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {"work": (10, 20_000)}

    pages: int = 64
    """How many pages
    there are."""
    rounds: int = (  # how often
        20  # each is stored to
    )
    work: float = 50.0  # instructions per store
    mark: str = "x"
    loud: bool = False

    def start(self, stage):
        for instance in range(self.instance_count):
            stage.start(self.program, "toy", instance)

    def program(self, process):
        file = process.file("/bin/toy", 4096, 0)
        text = Segment(0, 0x400000, 0x500000, "file", file, writable=False)
        yield Exec(file, (text, Segment(0, 0x10000000, 0x10000000 + 4096 * self.pages, "anonymous")))
        page = np.arange(self.pages * self.rounds, dtype=np.uint64) % np.uint64(self.pages)
        body = [run(Text(0x400000).block(round(self.work)))]
        yield references(len(page), *body, store(page * np.uint64(4096) + np.uint64(0x10000000), 8))
'''


def toy_file(folder: Path, name: str = "toy.py", *changes: tuple[str, str]) -> str:
    """The path of a file with the workload, in which texts are replaced."""
    text = TOY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return str(path)
