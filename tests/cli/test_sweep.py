"""``discotrace sweep``."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from discotrace.analysis.sweep.estimate import COMPILING_S
from tests.cli.running import assert_refused, run, sample_trace

AXES = ["--set", "tlb.entries=16,32", "--set", "l2.size_kib=256:1024:x2", "--set", "memory.remote_ns=300:900:300"]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "t.parquet", 60)


@pytest.fixture(scope="module")
def swept(trace: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    ended = run("sweep", trace, *AXES, "-o", str(folder))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("36 of 36 points from 12 replays, 12 of them made now, in ")
    return folder


def test_the_results_are_one_row_a_point(swept: Path) -> None:
    found = pl.read_parquet(swept / "results.parquet")
    assert found.height == 36
    assert found["time_ms"].is_not_null().all()
    assert found.select("system", "tlb.entries", "l2.size_kib", "memory.remote_ns").is_unique().all()


def test_json_says_what_came_of_it(trace: str, swept: Path) -> None:
    ended = run("sweep", trace, *AXES, "-o", str(swept), "--json")
    tree = json.loads(ended.out)
    assert (tree["schema"], tree["points"], tree["done"], tree["replays"], tree["replays_made"]) == (1, 36, 36, 12, 0)
    assert Path(tree["results"]).exists()


def test_a_dry_run_does_nothing(trace: str, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    ended = run("sweep", trace, *AXES, "-o", str(folder), "--dry-run", "--workers", "2")
    assert ended.code == 0
    assert ended.out.splitlines()[:2] == [
        "36 points, 0 of them impossible",
        "12 distinct replays, 0 of them there already; 8 runs through a trace",
    ]
    assert not folder.exists()


def test_a_dry_run_knows_what_is_there(trace: str, swept: Path) -> None:
    more = [*AXES[:-2], "--set", "memory.remote_ns=1:1000:1", "--set", "tlb.entries=16,32,64"]
    ended = run("sweep", trace, *more[2:], "-o", str(swept), "--dry-run", "--json")
    tree = json.loads(ended.out)
    assert (tree["points"], tree["replays"], tree["missing"], tree["fronts"]) == (18_000, 18, 6, 4)


def test_a_dry_run_counts_what_is_not_compiled_yet(trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {}
    for warm in (True, False):
        monkeypatch.setattr("discotrace.analysis.sweep.estimate.is_warm", lambda systems, warm=warm: warm)
        ended = run("sweep", trace, *AXES, "-o", str(tmp_path / "s"), "--dry-run", "--json")
        seconds[warm] = json.loads(ended.out)["seconds"]
    assert seconds[False] > seconds[True] + COMPILING_S


def test_a_sweep_file_says_the_same(trace: str, swept: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        f'traces = ["{trace}"]\n[set]\ntlb.entries = [16, 32]\nl2.size_kib = "256:1024:x2"\n'
        'memory.remote_ns = "300:900:300"\n'
    )
    assert run("sweep", str(path), "-o", str(tmp_path / "sweep")).code == 0
    assert pl.read_parquet(tmp_path / "sweep" / "results.parquet").equals(pl.read_parquet(swept / "results.parquet"))


def test_options_come_before_a_sweep_file(trace: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('systems = ["native"]\nmachine = "uma"\n[set]\n"tlb.entries" = [16, 32]\n')
    ended = run("sweep", str(path), trace, "--set", "tlb.entries=64", "--system", "disco,native", "--dry-run", "--json")
    assert json.loads(ended.out)["points"] == 2


def test_vms_are_an_axis(trace: str) -> None:
    ended = run("sweep", trace, "--vms", "1,2", "--dry-run", "--json")
    assert (json.loads(ended.out)["points"], json.loads(ended.out)["replays"]) == (4, 3)


def test_csv_has_the_same(trace: str, swept: Path) -> None:
    assert run("sweep", trace, *AXES, "-o", str(swept), "--csv").code == 0
    table = pl.read_csv(swept / "results.csv")
    assert table["time_ms"].to_list() == pl.read_parquet(swept / "results.parquet")["time_ms"].to_list()


def test_impossible_points_are_told_and_left_out(trace: str, tmp_path: Path) -> None:
    arguments = ("sweep", trace, "--set", "l2.size_kib=300,512", "-s", "native", "-o", str(tmp_path / "s"))
    ended = run(*arguments)
    assert ended.code == 0
    assert ended.out.splitlines()[1].startswith("left out: 1 points: l2: 300 KiB in 2 ways")
    assert_refused(run(*arguments, "--strict"), "1 points are impossible; the first: l2: 300 KiB")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "l2.size=1"], "unknown key l2.size; did you mean l2.size_kib?"),
        (["--set", "l2.size_kib"], "expected table.key=values"),
        (["--set", "l2.size_kib=256:512"], "give a step"),
        (["--set", "l2.size_kib=512:256:1"], "512 is more than 256"),
        (["--system", "xen"], "unknown system 'xen'"),
        (["--machine", "cray"], "machine 'cray' is neither a preset"),
        (["--where", "l2.size_kib >"], "is no condition"),
        (["--where", "l4.size > 1"], "l4.size is no key"),
        (["--where", "vm.count > 1"], "no point fulfils the conditions"),
        (["--zip", "l1i.ways,l1d.ways"], "l1i.ways has no values"),
        (["--random", "0"], "random is 0"),
        (["--random", "2", "--lhs", "2"], "in one way or the other"),
        (["--window", "0"], "window is 0"),
        (["--seed", "-1"], "seed is -1"),
        (["nothing.toml"], "sweep file 'nothing.toml' cannot be read"),
        (["nothing.parquet"], "there is no such file"),
    ],
)
def test_bad_input_is_one_line(trace: str, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_refused(run("sweep", trace, *arguments, "-o", str(tmp_path / "s")), message)
    assert not (tmp_path / "s").exists()


def test_a_folder_with_another_sweep_is_kept(trace: str, swept: Path) -> None:
    assert_refused(run("sweep", trace, "--set", "tlb.entries=64,128", "-o", str(swept)), "has another sweep", "--force")


def test_a_folder_that_cannot_be_made_is_one_line(trace: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(run("sweep", trace, "-o", str(tmp_path / "file" / "s")), "cannot write")


def _command(trace: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "discotrace", "sweep", trace, *AXES, "-o", str(folder), "-q", "--workers", "2"]


def test_ctrl_c_keeps_what_is_finished(trace: str, swept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    process = subprocess.Popen(_command(trace, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(folder.glob("counts/*/*.parquet")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if process.returncode != 0:  # else it was faster
        assert process.returncode == 130
        assert err == "discotrace: interrupted\n"
    assert run("sweep", trace, *AXES, "-o", str(folder)).code == 0
    assert pl.read_parquet(folder / "results.parquet").equals(pl.read_parquet(swept / "results.parquet"))


def killed_at_random_moments(trace: str, swept: Path, folder: Path, kills: int, seed: int) -> None:
    """Start the sweep and kill it, again and again; then let it end."""
    draw = random.Random(seed)
    began = time.monotonic()
    subprocess.run(_command(trace, folder.with_name("undisturbed")), check=True, capture_output=True)
    length = time.monotonic() - began
    for _ in range(kills):
        process = subprocess.Popen(_command(trace, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0, length))
        process.kill()
        process.wait()
        if (folder / "results.parquet").exists():
            pl.read_parquet(folder / "results.parquet")
    assert run("sweep", trace, *AXES, "-o", str(folder)).code == 0
    assert pl.read_parquet(folder / "results.parquet").equals(pl.read_parquet(swept / "results.parquet"))
    assert not list(folder.rglob("*.tmp"))
    whole = {path.name: path.read_bytes() for path in swept.glob("counts/*/*.parquet")}
    assert {path.name: path.read_bytes() for path in folder.glob("counts/*/*.parquet")} == whole


def test_killed_at_random_moments_it_ends_with_the_same_results(trace: str, swept: Path, tmp_path: Path) -> None:
    killed_at_random_moments(trace, swept, tmp_path / "s", 2, seed=1)


@pytest.mark.slow
def test_killed_fifty_times_it_ends_with_the_same_results(trace: str, swept: Path, tmp_path: Path) -> None:
    killed_at_random_moments(trace, swept, tmp_path / "s", 50, seed=2)
