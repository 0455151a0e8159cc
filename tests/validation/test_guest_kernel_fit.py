"""The guest kernel's services take, natively on the paper's machine, what table 2 of the Disco paper prints.

The path lengths in guest_kernel.toml and the refill handler's length in the flash preset are fitted to these values
(role "calibrate") by benchmarks/fit_guest_kernel.py; this shows that the shipped trace meets them. One CPU, as in the
paper's table.
"""

from pathlib import Path

import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import ServiceTime
from discotrace.analysis.published import service_times_us
from discotrace.analysis.run import native_services

TRACE = Path(__file__).resolve().parents[2] / "traces" / "pmake.parquet"
TOLERANCE = 0.10  # of each published mean, which is printed with two digits


@pytest.fixture(scope="module")
def measured() -> dict[str, ServiceTime]:
    return native_services(TRACE, load("flash", ["cpu.count=1"]))


@pytest.mark.parametrize("service", sorted(service_times_us()))
def test_mean_native_time_meets_table_2(measured: dict[str, ServiceTime], service: str) -> None:
    wanted, found = service_times_us()[service], measured[service]
    print(f"{service}: {found.kernel_us:.4g} us, table 2 {wanted} us, {found.entries:,} entries")
    assert found.entries > 0
    assert found.kernel_us == pytest.approx(wanted, rel=TOLERANCE)
