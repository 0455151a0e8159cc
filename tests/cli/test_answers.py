"""``discotrace best``, ``effects`` and ``diff``: answers from sweeps."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from discotrace.analysis.sweep.results import METADATA_KEY
from tests.cli.running import Ended, assert_refused, run, sample_trace

AXES = ["--set", "tlb.entries=16,32", "--set", "memory.remote_ns=300:900:300"]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "t.parquet", 60)


@pytest.fixture(scope="module")
def swept(trace: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("swept") / "sweep")
    assert run("sweep", trace, *AXES, "-o", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def slower(trace: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same points with slower local memory."""
    folder = str(tmp_path_factory.mktemp("slower") / "sweep")
    assert run("sweep", trace, *AXES, "--set", "memory.local_ns=600", "-o", folder).code == 0
    return folder


@pytest.fixture
def partial(swept: str, tmp_path: Path) -> str:
    """A sweep of 12 points, killed when 6 were priced."""
    folder = Path(shutil.copytree(swept, tmp_path / "s"))
    (folder / "results.parquet").unlink()
    for block in (folder / "priced").iterdir():
        if pl.read_parquet(block)["tlb.entries"][0] != 16:
            block.unlink()
    return str(folder)


def tree_of(ended: Ended) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(ended.out)
    return tree


def rows_of(swept: str) -> pl.DataFrame:
    return pl.read_parquet(Path(swept) / "results.parquet")


def test_best_shows_points_with_their_parameters(swept: str) -> None:
    ended = run("best", swept, "--minimize", "time", "--top", "2")
    assert (ended.code, ended.err) == (0, "")
    for name in ("time_ms", "system", "tlb.entries", "memory.remote_ns", "point"):
        assert name in ended.out
    best = rows_of(swept).sort("time_ms", "point").head(2)["point"].to_list()
    lines = [line for line in ended.out.splitlines() if line.startswith("│")]
    assert [int(line.split("│")[-2]) for line in lines] == best


def test_best_as_json(swept: str) -> None:
    options = ("--maximize", "time", "--subject-to", "remote_ns <= 600", "--by", "system", "--top", "1")
    tree = tree_of(run("best", swept, *options, "--json"))
    assert {key: tree[key] for key in ("schema", "sweep", "complete", "points", "points_so_far", "considered")} == {
        "schema": 1,
        "sweep": swept,
        "complete": True,
        "points": 12,
        "points_so_far": 12,
        "considered": 8,
    }
    assert tree["objectives"] == [{"column": "time_ms", "is_maximized": True}]
    assert (tree["by_status"], tree["subject_to"], tree["remarks"]) == ({"done": 12}, ["remote_ns <= 600"], [])
    kept = rows_of(swept).filter(pl.col("memory.remote_ns") <= 600)
    expected = {system: rows["time_ms"].max() for (system,), rows in kept.group_by("system")}
    assert {row["system"]: row["time_ms"] for row in tree["results"]} == expected


def test_a_front_as_json(swept: str) -> None:
    tree = tree_of(run("best", swept, "--pareto", "time,max:memory.remote", "--json"))
    assert [one["is_maximized"] for one in tree["objectives"]] == [False, True]
    rows = rows_of(swept)
    fastest = [rows.filter(pl.col("memory.remote_ns") == ns)["time_ms"].min() for ns in (300, 600, 900)]
    assert [row["time_ms"] for row in tree["results"]] == fastest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --minimize, --maximize, --pareto"),
        (["--minimize", "time", "--pareto", "time,idle"], "give one of"),
        (["--pareto", "time,idle", "--top", "3"], "--top goes with"),
        (["--pareto", "time"], "two different figures"),
        (["--minimize", "tme"], "did you mean time"),
        (["--minimize", "remote"], "remote may be memory.remote_ns, remote_miss_ratio or stall_remote_ms"),
        (["--minimize", "system"], "system is no number"),
        (["--minimize", "time", "--subject-to", "time <"], "is no condition"),
        (["--minimize", "time", "--subject-to", "tme < 1"], "did you mean time"),
        (["--minimize", "time", "--subject-to", "system < 1"], "is no condition on these columns"),
        (["--minimize", "time", "--by", "sys"], "there is no column sys"),
    ],
)
def test_what_is_wrong_with_best_is_one_line(swept: str, arguments: list[str], message: str) -> None:
    assert_refused(run("best", swept, *arguments), message)


def test_no_point_fulfils_the_conditions(swept: str) -> None:
    ended = run("best", swept, "--minimize", "time", "--subject-to", "time < 0")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"discotrace: error: {swept}: no point fulfils 'time < 0'\n"


@pytest.mark.parametrize("verb", [("best", "--minimize", "time"), ("effects",)])
def test_a_part_of_a_sweep_is_read_and_remarked(partial: str, verb: tuple[str, ...]) -> None:
    ended = run(verb[0], partial, *verb[1:])
    remark = f"{partial}: 6 of 12 points so far"
    assert (ended.code, ended.err) == (0, remark + "\n")
    assert run(verb[0], partial, *verb[1:], "--quiet").err == ""
    tree = tree_of(run(verb[0], partial, *verb[1:], "--json"))
    assert (tree["complete"], tree["points_so_far"], tree["points"], tree["remarks"]) == (False, 6, 12, [remark])


def test_effects_are_shares_and_levels(swept: str) -> None:
    ended = run("effects", swept, "--levels")
    assert (ended.code, ended.err) == (0, "")
    assert "time_ms at 12 points" in ended.out
    assert "exact: every combination is there once" in ended.out
    assert "300: " in ended.out
    assert run("effects", swept, "--by", "system").out.count("exact") == 2


def test_effects_as_json(swept: str) -> None:
    tree = tree_of(run("effects", swept, "--of", "slowdown", "--by", "system", "--json"))
    first, second = sorted(tree["results"], key=lambda one: str(one["group"]["system"]))
    assert (tree["schema"], first["figure"], first["points"], first["method"]) == (1, "slowdown", 6, "exact")
    assert second["group"] == {"system": "native"}
    assert second["shares"] is None, "natively the slowdown is 1"
    shares = first["shares"]
    assert {one["name"] for one in shares["main"]} == {"tlb.entries", "memory.remote_ns"}
    parts = [one["share"] for one in shares["main"] + shares["interactions"]]
    assert sum(parts) + shares["rest"] == pytest.approx(1)
    assert {level["value"] for level in shares["main"][0]["levels"]} in ({16, 32}, {300, 600, 900})


def test_effects_of_drawn_points_are_approximate(trace: str, tmp_path: Path) -> None:
    axes = ["--set", "memory.remote_ns=300:1800", "--set", "memory.local_ns=100:300", "--lhs", "30"]
    assert run("sweep", trace, *axes, "-o", str(tmp_path / "s")).code == 0
    ended = run("effects", str(tmp_path / "s"))
    assert "approximate: combinations are missing; least squares explain" in ended.out
    assert "not explained" in ended.out
    tree = tree_of(run("effects", str(tmp_path / "s"), "--of", "user_stall", "--by", "system", "--json"))
    assert [one["method"] for one in tree["results"]] == ["least squares"] * 2
    assert all(one["shares"]["rest"] < 0.01 for one in tree["results"]), "stalls are nearly sums of latencies"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--of", "tme"], "did you mean time"),
        (["--of", "system"], "system is no number"),
        (["--of", "entries"], "tlb.entries is a parameter"),
        (["--by", "system,tlb.entries,memory.remote_ns"], "no parameter varies at system="),
    ],
)
def test_what_is_wrong_with_effects_is_one_line(swept: str, arguments: list[str], message: str) -> None:
    assert_refused(run("effects", swept, *arguments), message)


def test_diff_of_equal_sweeps(swept: str) -> None:
    ended = run("diff", swept, f"{swept}/results.parquet", "--fail-if", "time>0%", "--fail-if", "time<0")
    assert (ended.code, ended.err) == (0, "")
    assert "12 points of both, 0 of A alone, 0 of B alone" in ended.out


def test_diff_shows_what_changed_and_why(swept: str, slower: str) -> None:
    ended = run("diff", swept, slower)
    assert ended.code == 0
    assert f"memory.local_ns is as in the machine file in {swept}, 600 in {slower}\n" in ended.err
    assert "time_ms: largest rise " in ended.out
    assert run("diff", swept, slower, "--quiet").err == ""


def test_a_broken_limit_is_told_and_ends_with_1(swept: str, slower: str) -> None:
    ended = run("diff", swept, slower, "-q", "--fail-if", "user_stall>+1%", "--fail-if", "user_stall<-1%")
    assert ended.code == 1
    assert ended.err == "discotrace: error: user_stall>+1%: at 12 points\n"
    assert "user_stall>+1% at 12 of 12 points:" in ended.out
    assert "and 2 more" in ended.out
    assert " %) at system=" in ended.out


def test_diff_as_json(swept: str, slower: str) -> None:
    ended = run("diff", swept, slower, "--of", "user_stall,idle", "--fail-if", "user_stall>1%", "--json")
    tree = tree_of(ended)
    assert ended.code == 1
    assert (tree["schema"], tree["a"]["sweep"], tree["b"]["sweep"]) == (1, swept, slower)
    assert (tree["matched"], tree["missing"], tree["added"]) == (12, [], [])
    assert tree["matched_by"] == ["system", "tlb.entries", "memory.remote_ns"]
    assert [one["figure"] for one in tree["changes"]] == ["user_stall_ms", "idle_ms"]
    assert tree["faults"] == ["user_stall>1%: at 12 points"]
    (broken,) = tree["broken"]
    before, after = rows_of(swept), rows_of(slower)
    worst = max((b - a) / a for a, b in zip(before["user_stall_ms"], after["user_stall_ms"], strict=True))
    first = broken["points"][0]
    assert first["user_stall_ms in B"] / first["user_stall_ms"] - 1 == pytest.approx(worst)
    assert tree["changes"][0]["rise"]["percent"] == pytest.approx(100 * worst)


def test_missing_points_fail_a_check(swept: str, partial: str) -> None:
    ended = run("diff", swept, partial)
    assert ended.code == 0
    assert ended.err == f"{partial}: 6 of 12 points so far\n"
    assert "in A alone: system=native, tlb.entries=32, memory.remote_ns=300 and 5 more" in ended.out
    ended = run("diff", swept, partial, "-q", "--fail-if", "time>1%")
    assert ended.code == 1
    assert ended.err == f"discotrace: error: {partial} lacks 6 points of {swept}\n"
    assert run("diff", swept, partial, "-q", "--fail-if", "time>1%", "--allow-missing").code == 0
    assert run("diff", partial, swept, "-q", "--fail-if", "time>1%").code == 0


def test_nothing_in_common_fails_a_check(trace: str, swept: str, tmp_path: Path) -> None:
    axes = ["--set", "tlb.entries=64,128", "--set", "memory.remote_ns=300,600"]
    assert run("sweep", trace, *axes, "-o", str(tmp_path / "s")).code == 0
    assert run("diff", swept, str(tmp_path / "s")).code == 0
    ended = run("diff", swept, str(tmp_path / "s"), "-q", "--fail-if", "time>1%", "--allow-missing")
    assert (ended.code, ended.err) == (1, "discotrace: error: no point of one is a point of the other\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--of", "tme"], "did you mean time"),
        (["--fail-if", "time>2%%"], "expected a figure, > or <, and a change: 'time>+2%'"),
        (["--fail-if", "tme>2%"], "did you mean time"),
        (["--fail-if", "system>2%"], "system is no number"),
    ],
)
def test_what_is_wrong_with_diff_is_one_line(swept: str, arguments: list[str], message: str) -> None:
    assert_refused(run("diff", swept, swept, *arguments), message)


@pytest.mark.parametrize("arguments", [("best", "--minimize", "time"), ("effects",), ("diff", "SWEEP")])
def test_what_is_no_sweep_is_one_line(swept: str, trace: str, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    verb, *rest = (swept if word == "SWEEP" else word for word in arguments)
    for wrong, message in (
        (str(tmp_path / "nowhere"), "there is no such file or folder"),
        (str(tmp_path), "is no folder of a sweep"),
        (trace, "has no results of a sweep"),
        (__file__, "is no Parquet file"),
    ):
        assert_refused(run(verb, wrong, *rest), message)
        if verb == "diff":
            assert_refused(run(verb, *rest, wrong), message)


def test_results_carry_what_was_asked(swept: str) -> None:
    import pyarrow.parquet as pq

    about = json.loads(pq.read_schema(Path(swept) / "results.parquet").metadata[METADATA_KEY])
    assert (about["complete"], about["points"], len(about["sources"])) == (True, 12, 16)
