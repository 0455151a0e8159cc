"""Faults in a policy are one line with its name, its file and the line."""

import re
from pathlib import Path

import numpy as np
import pytest

from discotrace.monitor.placement.base import HotPage, Migrate, Policy, Replicate, Stay
from discotrace.monitor.placement.registry import find_policy
from discotrace.tracegen.errors import ConfigError
from tests.machines import machine

PAGE = HotPage(0, 1, (), (10, 0, 0), (0, 0, 0), 0, 1)

WHOLE = """\
import numpy as np
from discotrace.monitor.placement.base import Migrate, Policy, Reason, Replicate, Stay


class Mine(Policy):
    def __init__(self, machine):
        {init}

    @property
    def hot_trigger(self):
        {trigger}

    def place(self, allocated, cpu_node):
        {place}

    def decide(self, page):
        {decide}
"""
LINES = {"init": 7, "trigger": 11, "place": 14, "decide": 17}
"""Lines of the bodies; a method begins the line before, a property two lines before."""
GOOD = {
    "init": "super().__init__(machine)",
    "trigger": "return 10",
    "place": "return cpu_node",
    "decide": "return Migrate(0)",
}


def write(folder: Path, **bodies: str) -> str:
    """The path of a policy with these bodies."""
    path = folder / "mine.py"
    path.write_text(WHOLE.format(**GOOD | bodies))
    return str(path)


def policy(folder: Path, **bodies: str) -> Policy:
    """The policy with these bodies, on three nodes."""
    return find_policy(write(folder, **bodies))(machine(cpu__count=3))


def refusal(folder: Path, line: int, what: str) -> str:
    """A pattern for the whole message."""
    return f"^policy mine: {re.escape(str(folder))}/mine.py:{line}: {what}$"


def test_good__answers_pass(tmp_path: Path) -> None:
    mine = policy(tmp_path)
    assert (mine.hot_trigger, mine.place(0, 2), mine.decide(PAGE)) == (10, 2, Migrate(0))


@pytest.mark.parametrize("answer", ["-1", "3", "1.0", "None", "'1'", "True", "[1]"])
def test_place__what_is_no_node_is_refused(tmp_path: Path, answer: str) -> None:
    bad = policy(tmp_path, place=f"return {answer}")
    what = f"place returned {re.escape(answer)}, expected a node from 0 to 2"
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["place"] - 1, what)):
        bad.place(0, 0)


def test_place__first_and_last_node_are_taken(tmp_path: Path) -> None:
    mine = policy(tmp_path, place="return (0, 2)[allocated]")
    assert [mine.place(0, 1), mine.place(1, 1)] == [0, 2]


def test_place__a_numpy_integer_becomes_a_plain_one(tmp_path: Path) -> None:
    assert type(policy(tmp_path, place="return np.int32(2)").place(0, 0)) is int


def test_place__an_exception_is_told_with_its_own_line(tmp_path: Path) -> None:
    bad = policy(tmp_path, place="x = 0\n        return 1 // x")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["place"] + 1, "ZeroDivisionError: .* by zero")):
        bad.place(0, 0)


def test_place__an_exception_below_the_file_is_told_with_the_files_line(tmp_path: Path) -> None:
    bad = policy(tmp_path, place="return np.zeros(1).reshape(7)")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["place"], "ValueError: cannot reshape .*")):
        bad.place(0, 0)


def test_place__a_message_of_several_lines_becomes_one(tmp_path: Path) -> None:
    bad = policy(tmp_path, place="raise RuntimeError('one\\n  two')")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["place"], "RuntimeError: one two")):
        bad.place(0, 0)


def test_place__leaving_the_program_is_a_fault(tmp_path: Path) -> None:
    bad = policy(tmp_path, place="raise SystemExit(0)")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["place"], "SystemExit: 0")):
        bad.place(0, 0)


def test_place__ctrl_c_is_none(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        policy(tmp_path, place="raise KeyboardInterrupt").place(0, 0)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("None", "decide returned None, expected Stay, Migrate or Replicate"),
        ("2", "decide returned 2, expected Stay, Migrate or Replicate"),
        ("Migrate", "decide returned <class '.*Migrate'>, expected Stay, Migrate or Replicate"),
        ("Migrate(3)", "decide migrates to 3, expected a node from 0 to 2"),
        ("Migrate(-1)", "decide migrates to -1, expected a node from 0 to 2"),
        ("Migrate((1,))", r"decide migrates to \(1,\), expected a node from 0 to 2"),
        ("Replicate((1, 3))", "decide replicates to 3, expected a node from 0 to 2"),
        ("Replicate(1)", "decide replicates to 1, expected several nodes"),
        ("Replicate('12')", "decide replicates to '[12]', expected a node from 0 to 2"),
        ("Stay('written')", "decide stays for reason 'written', expected a Reason"),
        ("Stay(Reason.OTHER, 5)", "decide returned a why of 5, expected text"),
    ],
)
def test_decide__what_is_no_decision_is_refused(tmp_path: Path, answer: str, what: str) -> None:
    bad = policy(tmp_path, decide=f"return {answer}")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["decide"] - 1, what)):
        bad.decide(PAGE)


def test_decide__an_exception_is_told_with_its_own_line(tmp_path: Path) -> None:
    bad = policy(tmp_path, decide="return page.nodes")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["decide"], "AttributeError: .*'nodes'")):
        bad.decide(PAGE)


def test_decide__an_exception_in_lazy_nodes_is_one_too(tmp_path: Path) -> None:
    bad = policy(tmp_path, decide="return Replicate(1 // node for node in (1, 0))")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["decide"], "ZeroDivisionError: .*")):
        bad.decide(PAGE)


@pytest.mark.parametrize("nodes", ["[2, 0, 2]", "{0, 2}", "np.array([2, 0])"])
def test_decide__nodes_come_once_and_ascending(tmp_path: Path, nodes: str) -> None:
    decision = policy(tmp_path, decide=f"return Replicate({nodes}, 'x')").decide(PAGE)
    assert decision == Replicate((0, 2), "x")
    assert isinstance(decision, Replicate)
    assert [type(node) for node in decision.nodes] == [int, int]


def test_decide__a_stay_and_its_text_pass(tmp_path: Path) -> None:
    decision = policy(tmp_path, decide="return Stay(Reason.CAPPED, 'enough')").decide(PAGE)
    assert isinstance(decision, Stay)
    assert decision.why == "enough"


@pytest.mark.parametrize("answer", ["-1", "2.5", "None", "True", "2**40"])
def test_hot_trigger__what_is_no_number_is_refused(tmp_path: Path, answer: str) -> None:
    what = "hot_trigger is .*, expected a whole number from 0 to 1073741824"
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["trigger"] - 2, what)):
        policy(tmp_path, trigger=f"return {answer}")


def test_hot_trigger__is_asked_once(tmp_path: Path) -> None:
    mine = policy(tmp_path, trigger="self.asked = getattr(self, 'asked', 0) + 1; return np.int64(self.asked)")
    assert [mine.hot_trigger, mine.hot_trigger] == [1, 1]
    assert type(mine.hot_trigger) is int


def test_hot_trigger__a_class_attribute_serves(tmp_path: Path) -> None:
    path = Path(write(tmp_path))
    text = path.read_text().replace(
        "    @property\n    def hot_trigger(self):\n        return 10\n", "    hot_trigger = 7\n"
    )
    path.write_text(text)
    assert find_policy(str(path))(machine(cpu__count=3)).hot_trigger == 7


def test_hot_trigger__without_it_decide_would_never_be_asked(tmp_path: Path) -> None:
    path = Path(write(tmp_path))
    path.write_text(path.read_text().replace("def hot_trigger", "def hot_at"))
    what = "decide would never be asked: the policy must define hot_trigger too"
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["decide"] - 1, what)):
        find_policy(str(path))(machine(cpu__count=3))


def test_init__an_exception_is_told_with_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["init"], "KeyError: 'no'")):
        policy(tmp_path, init="{}['no']")


def test_init__a_class_without_place_is_refused_at_its_line(tmp_path: Path) -> None:
    path = Path(write(tmp_path))
    path.write_text(path.read_text().replace("def place", "def put"))
    with pytest.raises(ConfigError, match=refusal(tmp_path, 5, "place is missing in class Mine")):
        find_policy(str(path))(machine(cpu__count=3))


def test_init__a_forgotten_super_is_told_where_it_is_missed(tmp_path: Path) -> None:
    mine = policy(tmp_path, init="pass", place="return self.machine.nodes - 1")
    with pytest.raises(ConfigError, match=refusal(tmp_path, LINES["place"], "AttributeError: .*'machine'")):
        mine.place(0, 0)


def test_the_machine_is_the_policys(tmp_path: Path) -> None:
    assert policy(tmp_path, place="return self.machine.nodes - 1").place(0, 0) == 2


def test_numpy_counters_serve_as_well(tmp_path: Path) -> None:
    hot = HotPage(0, 1, (), np.array([10, 0, 0]), np.array([0, 0, 0]), 0, 1)  # type: ignore[arg-type]
    assert policy(tmp_path, decide="return Migrate(page.misses.argmax())").decide(hot) == Migrate(0)
