"""`curve`: its tables, its JSON, its files and pictures, and what it refuses."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from discotrace.analysis.curve.curve_file import METADATA_KEY
from discotrace.tracegen.schema import TraceMeta, rows_from_records
from discotrace.tracegen.writer import write_trace
from tests.cli.running import Ended, assert_refused, run, sample_trace

ABOUT = {"schema", "discotrace", "command", "trace", "instances", "cpus", "configuration", "what", "sample", "remarks"}
CURVE = {
    "name",
    "sets",
    "unit",
    "unit_kib",
    "configured",
    "largest",
    "accesses",
    "cold_misses",
    "elsewhere_misses",
    "is_exact",
    "equals_replay",
    "largest_bound",
    "sizes",
    "misses",
    "bounds",
}
EVERYTHING = [
    ("tlb",),
    ("l1",),
    ("l1i",),
    ("l1d", "--sets", "1"),
    ("l2",),
    ("l2", "--sets", "all"),
    ("l1d", "--sets", "1", "--sample", "0.5"),
    ("pages",),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "sample.parquet")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("traces") / "empty.parquet"
    write_trace(path, TraceMeta(1), rows_from_records([]))
    return str(path)


def curve(trace: str, *arguments: str) -> Ended:
    what, *options = arguments
    return run("curve", trace, "--what", what, *options)


def tree(trace: str, *arguments: str) -> dict[str, Any]:
    ended = curve(trace, *arguments, "--json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def at(one: dict[str, Any], sizes: Iterable[int]) -> list[int]:
    """Misses of a curve in JSON at some sizes."""
    places = np.searchsorted(one["sizes"], list(sizes), "right") - 1
    return [one["misses"][place] for place in places]


@pytest.mark.parametrize("arguments", EVERYTHING, ids=" ".join)
def test_json_has_stable_keys(arguments: tuple[str, ...], sample: str) -> None:
    found = tree(sample, *arguments)
    assert set(found) == ABOUT | {"curves"}
    assert found["schema"] == 1
    assert all(set(one) == CURVE for one in found["curves"])


@pytest.mark.parametrize("arguments", EVERYTHING, ids=" ".join)
def test_curves_fall_to_what_is_cold(arguments: tuple[str, ...], sample: str) -> None:
    for one in tree(sample, *arguments)["curves"]:
        assert one["sizes"] == sorted(set(one["sizes"]))
        assert one["misses"] == sorted(one["misses"], reverse=True)
        assert one["accesses"] >= one["misses"][0]
        assert one["misses"][-1] >= one["cold_misses"] + one["elsewhere_misses"]
        if one["is_exact"] and one["largest"] is None:
            assert one["misses"][-1] == one["cold_misses"]


@pytest.mark.parametrize("arguments", EVERYTHING, ids=" ".join)
def test_the_table_has_what_json_has(arguments: tuple[str, ...], sample: str) -> None:
    ended = curve(sample, *arguments)
    assert (ended.code, ended.err) == (0, "")
    assert "sample.parquet: " in ended.out
    for one in tree(sample, *arguments)["curves"]:
        assert f"{one['accesses']:,} accesses" in ended.out
        if "all" not in arguments:
            assert f"{one['misses'][-1]:,}" in ended.out


def test_replay_at_the_configured_sizes_is_what_the_curves_have_there(sample: str) -> None:
    """One CPU without inclusion; the TLB is not LRU, but makes as many accesses."""
    alone = ("--set", "cpu.count=1", "--set", "l2.inclusive=false")
    ended = run("replay", sample, "--system", "native", *alone, "--json")
    totals = json.loads(ended.out)["results"][0]["totals"]
    l1i, l1d = tree(sample, "l1", *alone)["curves"]
    (l2,) = tree(sample, "l2", *alone)["curves"]
    (tlb,) = tree(sample, "tlb", *alone)["curves"]
    assert at(l1i, [2]) == [totals["l1i_misses"]]
    assert at(l1d, [2]) == [totals["l1d_load_misses"] + totals["l1d_store_misses"]]
    served = ("_local", "_remote")
    assert at(l2, [2]) == [sum(n for event, n in totals.items() if event.startswith("l2_") and event.endswith(served))]
    assert tlb["accesses"] == totals["tlb_hits"] + totals["tlb_misses"] + totals.get("tlb_invalid", 0)
    assert [one["equals_replay"] for one in (l1i, l1d, l2, tlb)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("tlb",), ["replaces at random", "wired (tlb.wired = 8)"]),
        (("l1",), ["writes of other CPUs and lines that leave L2 (l2.inclusive)"]),
        (("l1", "--set", "cpu.count=1"), ["in replay lines that leave L2 (l2.inclusive) do too"]),
        (
            ("l2", "--set", "cpu.count=1", "--set", "l2.inclusive=false"),
            ["replay counts the same misses at every size"],
        ),
        (("pages",), ["replay never pages"]),
        (("l1d", "--sets", "1", "--sample", "0.5"), ["estimated from 50 %", "95 % confidence"]),
        (("l1d", "--max-ways", "2"), ["--max-ways tells them"]),
    ],
)
def test_remarks_say_how_far_replay_would_count_the_same(
    arguments: tuple[str, ...], parts: list[str], sample: str
) -> None:
    text = curve(sample, *arguments).out.replace("\n", " ")
    told = " ".join(tree(sample, *arguments)["remarks"])
    for part in parts:
        assert part in text
        assert part in told


def test_the_configured_size_is_marked(sample: str) -> None:
    (line,) = [line for line in curve(sample, "tlb").out.splitlines() if "configured" in line]
    assert [cell.strip() for cell in line.split("│")][1:3] == ["64", "512"]
    assert "*" in curve(sample, "l1i", "--sets", "all").out
    assert "configured" not in curve(sample, "l1d", "--max-ways", "1").out


def test_all_sizes_are_those_at_which_misses_change(sample: str) -> None:
    (one,) = tree(sample, "l1d", "--sets", "1")["curves"]
    rows = [line for line in curve(sample, "l1d", "--sets", "1", "--all-sizes").out.splitlines() if "│" in line]
    assert [int(row.split("│")[1].replace(",", "")) for row in rows] == one["sizes"]


def test_l1_is_l1i_and_l1d(sample: str) -> None:
    both = tree(sample, "l1")["curves"]
    assert both == [tree(sample, name)["curves"][0] for name in ("l1i", "l1d")]


def test_a_sample_depends_on_its_seed_alone(sample: str) -> None:
    arguments = ("l1d", "--sets", "1", "--sample", "0.4")
    first, again, other = (tree(sample, *arguments, "--seed", seed)["curves"] for seed in ("3", "3", "4"))
    assert first == again != other
    assert first[0]["is_exact"] is False
    assert len(first[0]["bounds"]) == len(first[0]["sizes"])
    assert first[0]["largest_bound"] == max(first[0]["bounds"]) > 0


# Files


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("arguments", EVERYTHING, ids=" ".join)
def test_the_file_has_every_size(arguments: tuple[str, ...], suffix: str, sample: str, tmp_path: Path) -> None:
    path = tmp_path / f"c{suffix}"
    assert curve(sample, *arguments, "-o", str(path)).code == 0
    frame = pl.read_csv(path) if suffix == ".csv" else pl.read_parquet(path)
    for one in tree(sample, *arguments)["curves"]:
        rows = frame.filter((pl.col("curve") == one["name"]) & (pl.col("sets") == one["sets"]))
        sizes = rows["size"].to_list()
        assert sizes == list(range(one["sizes"][0], (one["largest"] or one["sizes"][-1]) + 1))
        assert rows["misses"].to_list() == at(one, sizes)
        assert rows["miss_ratio"].to_list() == pytest.approx(rows["misses"].to_numpy() / one["accesses"], abs=1e-4)
        assert (rows["bound"].null_count() == 0) == (one["bounds"] is not None)
        assert rows["kib"].to_list() == pytest.approx([size * one["unit_kib"] for size in sizes])


def test_a_parquet_file_says_how_to_make_it_again(sample: str, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    curve(sample, "tlb", "-o", str(path))
    about = json.loads(pq.read_schema(path).metadata[METADATA_KEY])
    assert about["command"].startswith("discotrace curve ")
    assert about["configuration"]["tlb"]["entries"] == 64
    assert about["trace"]["name"] == "sample.parquet"


@pytest.mark.parametrize("name", ["c.csv", "c.parquet"])
def test_a_file_replaces_another_only_by_force(name: str, sample: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("mine")
    assert_refused(curve(sample, "tlb", "-o", str(path)), "--force")
    assert path.read_text() == "mine"
    assert curve(sample, "tlb", "-o", str(path), "--force").code == 0
    assert path.read_bytes() != b"mine"


@pytest.mark.parametrize("name", ["c", "c.txt", "c.json", "c.parquet.gz"])
def test_a_file_of_another_format_is_refused(name: str, sample: str, tmp_path: Path) -> None:
    assert_refused(curve(sample, "tlb", "-o", str(tmp_path / name)), name, ".csv or .parquet")


def test_the_trace_is_never_overwritten(sample: str) -> None:
    before = Path(sample).read_bytes()
    assert_refused(curve(sample, "tlb", "-o", sample, "--force"), "is the trace itself")
    assert Path(sample).read_bytes() == before


# Pictures

SVG = "{http://www.w3.org/2000/svg}"


def svg(trace: str, path: Path, *arguments: str) -> ElementTree.Element:
    ended = curve(trace, *arguments, "--picture", str(path))
    assert ended.code == 0, ended.err
    return ElementTree.parse(path).getroot()


def marks(root: ElementTree.Element, role: str) -> int:
    groups = [group for group in root.iter(f"{SVG}g") if role in group.get("class", "")]
    return sum(len(group.findall(f"{SVG}path")) for group in groups)


@pytest.mark.parametrize(
    ("arguments", "lines", "rings"),
    [
        (("tlb",), 1, 1),
        (("l1",), 2, 2),
        (("l2", "--sets", "all"), 13, 1),
        (("pages",), 1, 1),
        (("l1d", "--sets", "1"), 1, 1),
        (("l2", "--max-ways", "1"), 1, 0),
    ],
)
def test_a_picture_has_a_line_for_each_curve_and_a_ring_for_each_configured_size(
    arguments: tuple[str, ...], lines: int, rings: int, sample: str, tmp_path: Path
) -> None:
    root = svg(sample, tmp_path / "p.svg", *arguments)
    assert marks(root, "mark-line role-mark") == lines
    assert marks(root, "mark-symbol role-mark layer_1_marks") == rings
    assert (tmp_path / "p.svg").stat().st_size < 200_000


def test_a_picture_of_a_sample_has_its_bounds(sample: str, tmp_path: Path) -> None:
    root = svg(sample, tmp_path / "p.svg", "l1", "--sets", "1", "--sample", "0.6")
    assert marks(root, "mark-area role-mark") == 2
    assert "a sample of 60 % with 95 % bounds" in "".join(root.itertext())


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_is_the_same_to_the_last_byte(suffix: str, sample: str, tmp_path: Path) -> None:
    for name in "ab":
        assert curve(sample, "tlb", "--picture", str(tmp_path / f"{name}.{suffix}")).code == 0
    first = (tmp_path / f"a.{suffix}").read_bytes()
    assert first == (tmp_path / f"b.{suffix}").read_bytes()
    assert first.startswith(b"\x89PNG" if suffix == "png" else b"<svg")


def test_a_picture_replaces_another_only_by_force(sample: str, tmp_path: Path) -> None:
    (tmp_path / "p.svg").write_text("mine")
    assert_refused(curve(sample, "tlb", "--picture", str(tmp_path / "p.svg")), "--force")
    assert (tmp_path / "p.svg").read_text() == "mine"
    assert curve(sample, "tlb", "--picture", str(tmp_path / "p.svg"), "--force").code == 0


@pytest.mark.parametrize(("name", "message"), [("p.gif", ".svg or .png"), ("no/p.svg", "there is no directory")])
def test_a_picture_that_cannot_be_is_refused_before_the_work(
    name: str, message: str, sample: str, tmp_path: Path
) -> None:
    assert_refused(curve(sample, "tlb", "--picture", str(tmp_path / name)), name, message)


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_the_extra_one_line_says_what_to_install(
    sample: str, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "discotrace.analysis.curve.picture", raising=False)
    ended = curve(sample, "tlb", "--picture", str(tmp_path / "p.svg"))
    assert_refused(ended, package, "pip install 'discotrace[report]'")
    assert not (tmp_path / "p.svg").exists()


# What there is little of, and what cannot be


@pytest.mark.parametrize("arguments", [*EVERYTHING[:-2], EVERYTHING[-1]], ids=" ".join)
def test_an_empty_trace_has_curves_too(arguments: tuple[str, ...], empty: str, tmp_path: Path) -> None:
    assert svg(empty, tmp_path / "p.svg", *arguments).tag == f"{SVG}svg"
    assert curve(empty, *arguments, "-o", str(tmp_path / "c.csv")).code == 0
    assert all(one["accesses"] == one["misses"][-1] == 0 for one in tree(empty, *arguments)["curves"])


BAD_OPTIONS = [
    (("cache",), "--what is 'cache', expected one of tlb, l1, l1i, l1d, l2, pages"),
    (("",), "--what is ''"),
    (("tlb", "--sets", "4"), "--sets is for caches: tlb has one set"),
    (("pages", "--sets", "all"), "--sets is for caches: pages has one set"),
    (("l1", "--sets", "3"), "--sets is 3, expected a power of two up to 1048576"),
    (("l1", "--sets", "0"), "--sets is '0', expected a power of two"),
    (("l1", "--sets", "-4"), "--sets is '-4', expected a power of two"),
    (("l1", "--sets", "many"), "--sets is 'many', expected a power of two"),
    (("l2", "--sets", "2097152"), "--sets is 2097152, expected a power of two up to 1048576"),
    (("l2", "--sets", "9" * 99), "expected a power of two"),
    (("l2", "--max-ways", "0"), "--max-ways is 0, expected 1 to 4096"),
    (("l2", "--max-ways", "5000"), "--max-ways is 5000, expected 1 to 4096"),
    (("tlb", "--max-ways", "8"), "--max-ways is for caches of several sets"),
    (("l2", "--sets", "1", "--max-ways", "8"), "--max-ways is for caches of several sets"),
    (("tlb", "--sample", "0"), "--sample is 0.0, expected more than 0 and less than 1"),
    (("tlb", "--sample", "1"), "--sample is 1.0, expected more than 0 and less than 1"),
    (("tlb", "--sample", "-0.1"), "--sample is -0.1, expected more than 0 and less than 1"),
    (("tlb", "--sample", "nan"), "--sample is nan, expected more than 0 and less than 1"),
    (("l1", "--sample", "0.1"), "--sample is for what is fully associative: give l1 --sets 1, or no --sample"),
    (("tlb", "--seed", "3"), "--seed chooses a sample: it needs --sample"),
    (("tlb", "--sample", "0.1", "--seed", "-1"), "--seed is -1, expected zero or more"),
    (("tlb", "--sample", "0.001"), "fewer than 320 do not tell"),
    (("tlb", "--set", "tlb.entires=3"), "did you mean entries?"),
    (("tlb", "-m", "flesh"), "neither a preset"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_OPTIONS, ids=[" ".join(a)[:40] for a, _ in BAD_OPTIONS])
def test_a_bad_option_is_refused(arguments: tuple[str, ...], message: str, sample: str) -> None:
    assert_refused(curve(sample, *arguments), message)


def test_without_a_structure_it_is_a_usage_error(sample: str) -> None:
    ended = run("curve", sample)
    assert (ended.code, ended.out) == (2, "")
    assert "--what" in ended.err
