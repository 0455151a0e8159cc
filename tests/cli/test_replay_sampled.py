"""discotrace replay --sample."""

import json
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest

from discotrace.analysis.counts_file import METADATA_KEY
from tests.cli.running import Ended, assert_refused, run

TRACE = str(Path(__file__).parents[2] / "traces" / "pmake-generated.parquet")
SAMPLE = ("--sample", "--sample-intervals", "5", "--window", "250000", "--system", "native")


@pytest.fixture(scope="module")
def pasts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pasts")


def sampled(pasts: Path, *options: str) -> Ended:
    with patch("discotrace.cli.sampled.pasts_folder", return_value=pasts):
        return run("replay", TRACE, *SAMPLE, *options)


def test_json_has_an_interval_for_each_figure(pasts: Path) -> None:
    tree = json.loads(sampled(pasts, "--json").out)
    result = tree["results"][0]
    assert tree["sample"]["intervals"] == len(tree["sample"]["first_windows"]) == 5
    assert result["low"]["time_ms"] < result["time_ms"] < result["high"]["time_ms"]
    assert set(result["low"]) == set(result["high"]) >= {"remote_miss_ratio", "l2_miss_percent", "idle_ms"}


def test_the_table_says_how_sure_it_is(pasts: Path) -> None:
    ended = sampled(pasts)
    assert ended.code == 0
    assert "pmake-generated.parquet: 5 intervals, ± at 95%" in ended.out
    assert "slowdown against native" in ended.out
    assert "migrations / s" not in ended.out  # natively no page moves
    assert "5 intervals are few" in ended.out


def test_the_same_seed_gives_the_same_answer_whoever_replays(pasts: Path) -> None:
    one, two, other = (
        json.loads(sampled(pasts, "--json", *options).out)["results"]
        for options in ((), ("--workers", "2"), ("--sample-seed", "2"))
    )
    assert one == two
    assert one != other


def test_counts_of_a_sample_are_kept_and_priced_again(pasts: Path, tmp_path: Path) -> None:
    counts = str(tmp_path / "counts.parquet")
    dearer = ("--set", "memory.local_ns=900")
    first, again = sampled(pasts, "--output", counts, "--json"), run("price", counts, "--json")
    assert json.loads(first.out)["results"] == json.loads(again.out)["results"]
    sampled_dearer, priced_dearer = sampled(pasts, *dearer, "--json"), run("price", counts, *dearer, "--json")
    assert json.loads(sampled_dearer.out)["results"] == json.loads(priced_dearer.out)["results"]
    assert "±" in run("price", counts).out
    assert "cannot be had with --services" in run("price", counts, "--services").err


def test_counts_of_a_sample_of_another_version_are_refused(pasts: Path, tmp_path: Path) -> None:
    path = tmp_path / "counts.parquet"
    sampled(pasts, "--output", str(path))
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[METADATA_KEY])
    del about["sample"]["design_effect"]
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(about)}), path)
    assert_refused(run("price", str(path)), "a sample without design_effect, of another version")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--services",), "--sample cannot be had with --services"),
        (("--crash", "vm=0,at=10%"), "--sample cannot be had with --crash"),
        (("--vms", "2"), "one virtual machine"),
        (("--set", "memory.page_kib=16"), "pages of 4 KiB"),
        (("--sample-intervals", "500"), "too few for 500"),
        (("--sample-intervals", "2"), "too few to tell"),
        (("--sample-seed", "-1"), "the seed of a sample is -1, expected 0 or more"),
    ],
)
def test_what_cannot_be_is_one_line(pasts: Path, options: tuple[str, ...], message: str) -> None:
    ended = sampled(pasts, *options)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
