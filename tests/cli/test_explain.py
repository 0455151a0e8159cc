"""``explain``: who missed on a page, what became of it, and why."""

import json
from typing import Any

import pytest

from tests.cli.running import KSEG0_START, POLICY, SHARED_FILE, USER, run, sharing_trace

MOVED = f"1:{USER + 8192:#x}"  # process 1 leaves CPU 0 for CPU 1
COPIED = f"kernel:{KSEG0_START + 16384:#x}"  # all read it, in the end it is written
LIBRARY = f"2:{SHARED_FILE:#x}"


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sharing_trace(tmp_path_factory.mktemp("traces") / "sharing.parquet")


def answer(*arguments: str) -> dict[str, Any]:
    ended = run("explain", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    tree: dict[str, Any] = json.loads(ended.out)
    return tree


def test_json_has_stable_names(sharing: str) -> None:
    tree = answer("hot", sharing, *POLICY)
    assert set(tree) == {
        *(
            "schema",
            "discotrace",
            "command",
            "trace",
            "instances",
            "cpus",
            "configuration",
            "system",
            "remarks",
            "pages",
        )
    }
    for page in tree["pages"]:
        assert set(page) == {"page", "names", "file", "misses_by_cpu", "actions"}
    action = next(page["actions"][0] for page in tree["pages"] if page["actions"])
    assert set(action) == {
        *("row", "instructions", "cpu", "vm", "what", "from", "to", "reason", "misses_by_cpu", "writes_by_cpu")
    }


def test_a_page_that_moved_says_when_where_and_why(sharing: str) -> None:
    page = answer(MOVED, sharing, *POLICY)["pages"][0]
    assert page["page"] == MOVED
    assert page["names"] == [f"process 1 (p1) {USER + 8192:#x}"]
    migration = page["actions"][0]
    assert (migration["what"], migration["cpu"], migration["from"], migration["to"]) == ("migrated", 1, 0, [1])
    assert migration["reason"]
    assert migration["misses_by_cpu"][1] >= 4


def test_a_page_that_all_read_is_copied_and_collapses_when_it_is_written(sharing: str) -> None:
    page = answer(COPIED, sharing, *POLICY)["pages"][0]
    actions = [action["what"] for action in page["actions"]]
    assert "replicated" in actions
    assert actions[-1] == "collapsed"
    rows = [action["row"] for action in page["actions"]]
    assert rows == sorted(rows)


def test_a_page_of_a_file_names_it_and_all_who_show_it(sharing: str) -> None:
    page = answer(LIBRARY, sharing, *POLICY)["pages"][0]
    assert page["file"] == "/lib/libc.so, page 0"
    assert page["names"][0] == f"process 2 (p2) {SHARED_FILE:#x}"
    assert len(page["names"]) > 1


def test_actions_are_as_many_as_were_counted(sharing: str) -> None:
    """Every page with an action is among the hot ones, and the list is long enough for all."""
    actions = [
        action["what"]
        for page in answer("hot", sharing, *POLICY, "--top", "1000")["pages"]
        for action in page["actions"]
    ]
    totals = json.loads(run("replay", sharing, *POLICY, "-s", "disco", "--json").out)["results"][0]["totals"]
    assert actions.count("migrated") == totals["migrations"] > 0
    assert actions.count("collapsed") == totals["collapses"] > 0
    left = sum(count for event, count in totals.items() if event.startswith("hot_left_"))
    assert actions.count("left alone") == left


def test_the_hottest_pages_come_first_and_no_more_than_asked_for(sharing: str) -> None:
    pages = answer("hot", sharing, *POLICY)["pages"]
    misses = [sum(page["misses_by_cpu"]) for page in pages]
    assert misses == sorted(misses, reverse=True)
    assert answer("hot", sharing, *POLICY, "--top", "2")["pages"] == pages[:2]


def test_misses_of_all_pages_are_those_that_were_counted(sharing: str) -> None:
    pages = answer("hot", sharing, *POLICY, "--top", "1000")["pages"]
    totals = json.loads(run("replay", sharing, *POLICY, "-s", "disco", "--json").out)["results"][0]["totals"]
    where = ("local", "remote", "dirty_local", "dirty_remote")
    counted = sum(totals[f"l2_{access}_{served}"] for access in ("fetch", "load", "store") for served in where)
    assert sum(sum(page["misses_by_cpu"]) for page in pages) == counted


def test_every_page_that_is_listed_can_be_asked_for(sharing: str) -> None:
    for page in answer("hot", sharing, "--vms", "2", *POLICY)["pages"]:
        if not page["page"].startswith("page table"):
            assert answer(page["page"], sharing, "--vms", "2", *POLICY)["pages"] == [page]


def test_the_kernel_of_another_virtual_machine_has_its_number(sharing: str) -> None:
    pages = [page["page"] for page in answer("hot", sharing, "--vms", "2", "--top", "1000")["pages"]]
    assert any(page.startswith("kernel1:") for page in pages)


def test_text_of_a_page_tells_its_history(sharing: str) -> None:
    text = run("explain", COPIED, sharing, *POLICY).out
    for part in (COPIED, "kernel of VM 0", "L2 misses: CPU", "replicated", "collapsed", "policy disco", "unverified:"):
        assert part in text


def test_text_of_hot_is_a_list(sharing: str) -> None:
    text = run("explain", "hot", sharing, *POLICY).out
    for part in (COPIED, MOVED, "replicated: ", "migrated: 1", "unverified:"):
        assert part in text


def test_nothing_is_unverified_where_no_threshold_was_used(sharing: str) -> None:
    assert answer("hot", sharing, "--set", "placement.policy=first-touch")["remarks"] == []


def test_it_works_under_splashos_too(sharing: str) -> None:
    assert answer("hot", sharing, "--system", "splashos", "--nfs", *POLICY)["pages"]


@pytest.mark.parametrize("top", ["0", "-1", "few"])
def test_no_pages_at_all_are_a_usage_error(top: str, sharing: str) -> None:
    assert run("explain", "hot", sharing, "--top", top).code == 2
