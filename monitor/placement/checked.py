"""A policy whose answers are checked, so that a fault in it is one line that says where and not a wrong replay."""

import inspect
import reprlib
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any, NoReturn, TypeVar

from discotrace.monitor.placement.base import Decision, HotPage, Migrate, Policy, Reason, Replicate, Stay
from discotrace.replay.machine import LARGEST, Machine
from discotrace.tracegen.user_code import Source, line_of

Answer = TypeVar("Answer")


class CheckedPolicy(Policy):
    """The policy of a class; raises ConfigError for an exception in it and for an answer that cannot be carried out.

    Nodes of answers are made plain ints, those of replicas ascending and each once.
    """

    def __init__(self, kind: type[Policy], source: Source, machine: Machine) -> None:
        super().__init__(machine)
        self._kind = kind
        self._source = source
        if inspect.isabstract(kind):
            self._refuse("place", f"is missing in class {kind.__name__}")
        if kind.decide is not Policy.decide and kind.hot_trigger is Policy.hot_trigger:
            self._refuse("decide", "would never be asked: the policy must define hot_trigger too")
        self._policy = self._ask("__init__", lambda: kind(machine))
        self._hot_trigger = self._checked_trigger(self._ask("hot_trigger", lambda: self._policy.hot_trigger))

    @property
    def hot_trigger(self) -> int:
        """What the policy said when it was made."""
        return self._hot_trigger

    def place(self, allocated: int, cpu_node: int) -> int:
        """The policy's node, which exists."""
        node = self._ask("place", lambda: self._policy.place(allocated, cpu_node))
        return self._checked_node("place", "returned", node)

    def decide(self, page: HotPage) -> Decision:
        """The policy's decision, on nodes that exist."""
        decision = self._ask("decide", lambda: self._policy.decide(page))
        if not isinstance(decision, Stay | Migrate | Replicate):
            self._refuse("decide", f"returned {reprlib.repr(decision)}, expected Stay, Migrate or Replicate")
        if not isinstance(decision.why, str):
            self._refuse("decide", f"returned a why of {reprlib.repr(decision.why)}, expected text")
        if isinstance(decision, Migrate):
            return Migrate(self._checked_node("decide", "migrates to", decision.node), decision.why)
        if isinstance(decision, Replicate):
            return Replicate(self._checked_nodes(decision.nodes), decision.why)
        if not isinstance(decision.reason, Reason):
            self._refuse("decide", f"stays for reason {reprlib.repr(decision.reason)}, expected a Reason")
        return decision

    def _checked_trigger(self, trigger: Any) -> int:
        if not _is_whole(trigger) or not 0 <= trigger <= LARGEST:
            self._refuse("hot_trigger", f"is {reprlib.repr(trigger)}, expected a whole number from 0 to {LARGEST}")
        return int(trigger)

    def _checked_node(self, method: str, does: str, node: Any) -> int:
        last = self.machine.nodes - 1
        if not _is_whole(node) or not 0 <= node <= last:
            self._refuse(method, f"{does} {reprlib.repr(node)}, expected a node from 0 to {last}")
        return int(node)

    def _checked_nodes(self, nodes: Any) -> tuple[int, ...]:
        if not isinstance(nodes, Iterable):
            self._refuse("decide", f"replicates to {reprlib.repr(nodes)}, expected several nodes")
        wanted = self._ask("decide", lambda: list(nodes))
        return tuple(sorted({self._checked_node("decide", "replicates to", node) for node in wanted}))

    def _ask(self, method: str, question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except (Exception, SystemExit) as fault:
            raise self._source.raised(fault, self._line(method)) from fault

    def _refuse(self, method: str, what: str) -> NoReturn:
        raise self._source.error(self._line(method), f"{method} {what}")

    def _line(self, method: str) -> int:
        """Where the policy's class defines a method; where the class begins if another class does."""
        found = vars(self._kind).get(method, self._kind)
        return line_of(found.fget if isinstance(found, property) and found.fget else found)


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)
