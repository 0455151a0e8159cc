"""The option ``--crash vm=2,at=50%``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from discotrace.replay.crash import Crash
    from discotrace.replay.machine import Machine

_FORM = re.compile(r"vm=(\d{1,9}),at=(\d{1,9}(?:\.\d{1,9})?)%")


class CrashPoint(NamedTuple):
    """Which virtual machine dies, and after how many percent of the rows of the trace."""

    vm: int
    percent: Fraction

    def in_trace(self, rows: int) -> Crash:
        """The crash in a trace of so many rows."""
        from discotrace.replay.crash import Crash

        return Crash(self.vm, int(self.percent * rows / 100))


def crash_point(text: str, machine: Machine) -> CrashPoint:
    """What the option says. Raises ConfigError."""
    parts = _FORM.fullmatch(text.replace(" ", ""))
    if parts is None:
        raise ConfigError(f"--crash {text!r}: expected vm=NUMBER,at=PERCENT%, for example vm=2,at=50%")
    point = CrashPoint(int(parts[1]), Fraction(parts[2]))
    vms = machine.vm.count
    if point.percent > 100:
        raise ConfigError(f"--crash {text!r}: {parts[2]}% lies behind the end of the trace")
    if point.vm >= vms:
        raise ConfigError(f"--crash {text!r}: there is no VM {point.vm}, they are 0 to {vms - 1}; have more with --vms")
    if machine.vm.nfs and vms > 1 and point.vm == 0:
        raise ConfigError(f"--crash {text!r}: VM 0 is the NFS server of the others; crash another")
    return point
