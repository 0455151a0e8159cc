"""Replays that begin in the middle of a trace, against the replay of all of it."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.run import new_system
from discotrace.analysis.sampling.pieces import WHOLE_CHUNKS
from discotrace.replay.chronicle import Chronicle, chronicle_of, parts_of
from discotrace.replay.chronicle import load as load_chronicle
from discotrace.replay.chronicle import save as save_chronicle
from discotrace.replay.counts import FIRST_CACHE_EVENT, LAST_CACHE_EVENT, Event
from discotrace.replay.engine import Replay
from discotrace.replay.piece import Past, Piece, begun
from discotrace.tracegen.outline import outline_of
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.trail import TrailReader, writing_trail

TRACE = Path(__file__).parents[3] / "traces" / "pmake-generated.parquet"
WINDOW = 1_000_000
OF_HARDWARE = {event.name.lower() for event in Event if FIRST_CACHE_EVENT <= event <= LAST_CACHE_EVENT}
OF_TLBS = {
    "tlb_hits",
    "tlb_misses",
    "tlb_invalid",
    "tlb_flushes",
    "guest_refills",
    "page_table_loads",
    "software_tlb_hits",
    "kernel_tlb_refills",
    "tlb_writes_emulated",
    "privileged_patched",
    "instructions",  # those of refill handlers
    "memory_requests",
    "memory_writebacks",
}


@dataclass(frozen=True)
class World:
    """A trace, replayed as a whole under a system, and what is known of its past."""

    system: str
    full: pl.DataFrame
    past: Past
    trail: Path
    machine: object


@pytest.fixture(scope="module", params=["native", "disco"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("past")
    machine = load("flash", ["placement.policy=first-touch"]).machine.for_trace(1)
    with TraceReader(TRACE) as reader:
        with writing_trail(folder / "trail") as trail:
            outline = outline_of(reader, trail, lambda count: None)
        chronicle = chronicle_of(new_system(request.param, reader.meta, machine), reader.meta, parts_of(outline))
        replay = Replay(reader.meta, new_system(request.param, reader.meta, machine), WINDOW)
        for rows in reader.batches():
            replay.feed(rows)
    full = pl.from_arrow(replay.finish().table())
    assert isinstance(full, pl.DataFrame)
    return World(request.param, full, Past(reader.meta, outline, chronicle), folder / "trail", machine)


def piece_of(world: World, window: int, chunks: int) -> pl.DataFrame:
    """Counts of one window, replayed by itself with so many chunks of the trail before it."""
    outline = world.past.outline
    mark, end = outline.mark_before(window * WINDOW), outline.mark_after((window + 1) * WINDOW)
    first = max(0, mark - chunks)
    with TraceReader(TRACE) as reader, TrailReader(world.trail) as trail:
        around = trail.between(outline.row_of(first), outline.row_of(end))
        system = new_system(world.system, reader.meta, world.machine)  # type: ignore[arg-type]
        replay = begun(Piece(*around, max(first, mark - WHOLE_CHUNKS), mark), system, WINDOW, world.past)
        for rows in reader.batches_between(outline.row_of(mark), outline.row_of(end)):
            replay.feed(rows)
    counts = pl.from_arrow(replay.finish().table())
    assert isinstance(counts, pl.DataFrame)
    return counts.filter(pl.col("window") == window)


def totals(counts: pl.DataFrame, window: int) -> dict[tuple[str, str], int]:
    """Counts of a window by context and event."""
    of_window = counts.filter(pl.col("window") == window)
    sums = of_window.group_by(pl.col("context", "event").cast(pl.String)).agg(pl.col("count").sum())
    return {(context, event): count for context, event, count in sums.iter_rows()}


def test_a_piece_from_the_beginning_is_the_replay(world: World) -> None:
    assert piece_of(world, 0, 0).equals(world.full.filter(pl.col("window") == 0))


@pytest.mark.parametrize("window", [9, 20, 33])
def test_what_the_os_does_is_the_same(world: World, window: int) -> None:
    """Pages mapped, services, locks, files: all but what caches and TLBs count is exact."""
    ignored = OF_HARDWARE | OF_TLBS
    expected = {key: count for key, count in totals(world.full, window).items() if key[1] not in ignored}
    found = {key: count for key, count in totals(piece_of(world, window, 4), window).items() if key[1] not in ignored}
    assert expected
    assert found == expected


def test_a_trail_warms_the_caches(world: World) -> None:
    def misses(counts: pl.DataFrame) -> int:
        is_miss = pl.col("event").cast(pl.String).str.contains(r"^l2_.*_(local|remote)$")
        return int(counts.filter(is_miss & pl.col("window").is_in([14, 20, 26]))["count"].sum())

    expected = misses(world.full)
    cold, warm = (misses(pl.concat([piece_of(world, w, chunks) for w in (14, 20, 26)])) for chunks in (0, 64))
    assert cold > 1.3 * expected
    assert warm == pytest.approx(expected, rel=0.06)


def test_a_chronicle_comes_back_from_a_file(world: World, tmp_path: Path) -> None:
    save_chronicle(tmp_path / "c.npz", world.past.chronicle)
    again = load_chronicle(tmp_path / "c.npz")
    for name in Chronicle.__dataclass_fields__:
        assert (getattr(again, name) == getattr(world.past.chronicle, name)).all()
