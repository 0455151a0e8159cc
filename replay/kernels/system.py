"""What the replay loop asks of a system under test: compiled functions, chosen by the type of ``State.system``.

A system is a NamedTuple of its own numbers (``native.Native``, ``monitor.kernels.disco.Disco``). It gives its functions
by ``implements``; the loop calls the names below, and each system gets a loop of its own, compiled with its functions
in place.
"""

from collections.abc import Callable
from typing import Any

import numba.extending
import numpy as np

from discotrace.replay.kernels.compile import BLOCK_OPTIONS
from discotrace.replay.kernels.state import U64, State


def translate_kernel(
    system: tuple[int, ...],
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
) -> int:
    """Frame of a kernel address, through the TLB or not; INVALID if a page must be mapped first."""
    raise NotImplementedError


def refill(
    system: tuple[int, ...],
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
    old_entry: int,
) -> int:
    """A TLB access found no translation: count it, resolve it, write the TLB, return the frame.

    ``old_entry`` is the entry with the tag but without the page, -1 if there is none. If a page must be mapped first,
    nothing may be counted or changed before ``walk.ask_for_page``; the function is then called again.
    """
    raise NotImplementedError


def change_vcpu(system: tuple[int, ...], s: State, cpu: int, base: int) -> None:
    """Another virtual CPU begins to run on a CPU."""
    raise NotImplementedError


def execute_privileged(system: tuple[int, ...], s: State, base: int, kind: int, times: int) -> None:
    """The guest executes privileged instructions of a class other than WIRED."""
    raise NotImplementedError


def wire(
    system: tuple[int, ...],
    s: State,
    cpu: int,
    base: int,
    times: int,
    key: np.uint64,
    group: np.uint64,
    frames: tuple[int, int],
) -> None:
    """The guest writes its wired TLB entry; frames (INVALID, INVALID) = it maps nothing from now on."""
    raise NotImplementedError


def zero_page(
    system: tuple[int, ...],
    s: State,
    cpu: int,
    context: int,
    key: np.uint64,
    vaddr: np.uint64,
    size: int,
    instructions: int,
) -> None:
    """The guest wants a range of mapped pages cleared."""
    raise NotImplementedError


def free_page(system: tuple[int, ...], s: State, base: int) -> None:
    """The guest has no use for a page any more."""
    raise NotImplementedError


def idle(system: tuple[int, ...], s: State, base: int, instructions: int) -> None:
    """The guest has nothing to run for as long as so many instructions take. ``base`` is of the context IDLE."""
    raise NotImplementedError


def leaves_out(system: tuple[int, ...], service: int) -> bool:
    """Whether the system does without this service of the traced kernel."""
    raise NotImplementedError


def executes(system: tuple[int, ...], s: State, stream: int, kind: int) -> bool:
    """Whether the system executes a row of this kind, where the stream is: maybe in a service that is left out."""
    raise NotImplementedError


def forget_page(system: tuple[int, ...], s: State, key: np.uint64, vpn: np.uint64, cpus: np.uint64) -> None:
    """A page becomes invalid in the system's own tables of translations for ``cpus``: bit c = CPU c."""
    raise NotImplementedError


def implements(contract: Callable[..., Any], system: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function what ``contract`` means for a system."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def choose(chosen: Any, *arguments: Any) -> Callable[..., Any] | None:
            return function if getattr(chosen, "instance_class", None) is system else None

        numba.extending.overload(contract, jit_options=BLOCK_OPTIONS, strict=False)(choose)
        return function

    return register
