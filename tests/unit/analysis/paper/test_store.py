"""The folder of traces and counts."""

from pathlib import Path

import pytest

from discotrace.analysis.keeping import sources_digest
from discotrace.analysis.paper.store import Store
from discotrace.tracegen.errors import OutputError


def test_a_name_says_what_a_file_was_made_from(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "folder")
    first = store.trace("pmake-1", {"scale": 0.1, "seed": 1})
    assert first == store.trace("pmake-1", {"seed": 1, "scale": 0.1})
    assert first != store.trace("pmake-1", {"seed": 1, "scale": 0.2})
    assert first.name.startswith("pmake-1-")
    assert first.parent.is_dir()
    assert store.counts("pmake-1", {}).parent != first.parent


def test_only_one_works_in_a_folder(tmp_path: Path) -> None:
    with Store(tmp_path).alone(), pytest.raises(OutputError, match="another run is at work"), Store(tmp_path).alone():
        pass
    with Store(tmp_path).alone():
        pass


def test_what_a_killed_run_left_half_made_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = store.trace("a", {})
    half = whole.with_name(f".{whole.name}.12345678.tmp")
    for path in (whole, half):
        path.write_text("")
    with store.alone():
        assert whole.exists()
        assert not half.exists()


def test_what_the_block_raises_comes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Store(tmp_path).alone():
        raise FileNotFoundError


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        Store(tmp_path / "file")


def test_sources_have_a_digest() -> None:
    assert sources_digest("discotrace.replay") == sources_digest("discotrace.replay")
    assert sources_digest("discotrace.replay") != sources_digest("discotrace.monitor")
