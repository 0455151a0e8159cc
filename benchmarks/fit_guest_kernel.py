"""Fits the guest kernel's path lengths to table 2 of the Disco paper, on the replay of a captured build.

    python benchmarks/fit_guest_kernel.py RAW_CAPTURE [--rounds 4] [--max-instructions-per-process N]

Each round merges the raw capture with the present constants, replays the trace natively on one CPU of the flash
machine, prices it, and changes ``[instructions]`` of tracegen/guest_kernel.toml so that the mean time per entry of
each service of table 2 meets its ``irix_us``: one instruction more takes one cycle and the stalls that go with it.
Only values of the role "calibrate" are read. The refill handler (``guest.refill_instructions`` of the machine) is
reported, not changed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import ServiceTime
from discotrace.analysis.published import service_times_us
from discotrace.analysis.run import native_services

CONSTANTS = Path(__file__).resolve().parent.parent / "tracegen" / "guest_kernel.toml"
HANDLER = "utlb_miss"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("raw", type=Path)
    arguments.add_argument("--rounds", type=int, default=4)
    arguments.add_argument("--max-instructions-per-process", type=int, default=1_200_000)
    given = arguments.parse_args()
    options = ["--max-instructions-per-process", str(given.max_instructions_per_process)]
    for round_number in range(given.rounds):
        services = measured(given.raw, options)
        print(f"round {round_number}: " + ", ".join(described(services)), flush=True)
        if round_number + 1 < given.rounds:
            change_constants(services)


def measured(raw: Path, options: list[str]) -> dict[str, ServiceTime]:
    """Service times of the raw capture's trace, made with the constants as they are."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "fit.parquet"
        command = [sys.executable, "-m", "discotrace", "capture", "--from", str(raw), "-o", str(trace), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return native_services(trace, load("flash", ["cpu.count=1"]))


def described(services: dict[str, ServiceTime]) -> list[str]:
    """Each service with its time, and that relative to the paper's."""
    wanted = service_times_us()
    found = {name: services[name].kernel_us for name in wanted}
    return [f"{name} {us:.4g} us ({us / wanted[name]:.3f})" for name, us in found.items()]


def change_constants(services: dict[str, ServiceTime]) -> None:
    """One secant step for every path length, assuming that instructions and their stalls grow together."""
    text = CONSTANTS.read_text(encoding="utf-8")
    for name, wanted_us in service_times_us().items():
        if name == HANDLER:
            continue
        pattern = re.compile(rf"^(?P<key>{name} = )(?P<value>\d+)", re.MULTILINE)
        found = pattern.search(text)
        assert found, f"no instructions.{name} in {CONSTANTS}"
        length = int(found["value"])
        # The page cleared by demand_zero, the bytes copied by read and write do not depend on the path's length.
        fixed_us = {"demand_zero": 11.5, "read": 2.0, "write": 2.0}.get(name, 0.0)
        scale = max(0.3, (wanted_us - fixed_us) / max(services[name].kernel_us - fixed_us, 0.1))
        text = pattern.sub(rf"\g<key>{round(length * min(scale, 3.0))}", text, count=1)
    CONSTANTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
