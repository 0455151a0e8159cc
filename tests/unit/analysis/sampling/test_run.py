"""What a sample shows while it is made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from discotrace.analysis.configuration import load
from discotrace.analysis.sampling.choice import Sample
from discotrace.analysis.sampling.pasts import Pasts
from discotrace.analysis.sampling.run import Asked, sampled
from discotrace.analysis.sweep.local import LocalWorkers
from discotrace.tracegen.reader import TraceReader

TRACE = str(Path(__file__).parents[4] / "traces" / "pmake-generated.parquet")


class Shown:
    """A watch that writes down what it shows: of each thing that is done how many there are, and how many were told."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.told: dict[str, int] = {}

    @contextmanager
    def __call__(self, total: int, description: str, unit: str) -> Iterator[Callable[[int], None]]:
        self.totals[description], self.told[description] = total, 0

        def advance(count: int) -> None:
            self.told[description] += count

        yield advance


def test_all_that_is_done_is_told_whoever_does_it(tmp_path: Path) -> None:
    shown = []
    with TraceReader(TRACE) as reader:
        for workers in (None, lambda: LocalWorkers(2)):
            shown.append(Shown())
            asked = Asked(250_000, Sample(5), workers)
            sampled(reader, Pasts(tmp_path), load("flash", []), ["native"], asked, "a test", shown[-1])
        rows = reader.rows
    memory = "following memory under native"
    first, again = shown
    assert first.totals == {"reading": rows, memory: rows, "replaying": 5}
    assert first.told["reading"] == rows
    assert 0 < first.told[memory] <= rows
    assert first.told["replaying"] == again.told["replaying"] == 5
    assert again.told["reading"] == again.told[memory] == 0
