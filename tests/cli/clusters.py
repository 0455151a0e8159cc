"""A Dask scheduler and workers as their commands start them, on this computer's loopback."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from distributed import Client

WORKERS = 2


class Cluster(NamedTuple):
    """A scheduler: its address for ``--on``, its process, those of its workers."""

    address: str
    process: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler whose ``WORKERS`` have come and work in a folder, until the block ends."""
    file = folder / "scheduler.json"
    one = _started("dask_scheduler", "--host=127.0.0.1", "--port=0", f"--scheduler-file={file}", folder=folder)
    working = ["--nthreads=1", "--no-nanny", f"--scheduler-file={file}", "--death-timeout=60"]
    workers = [_started("dask_worker", *working, folder=folder) for _ in range(WORKERS)]
    try:
        address = _address_in(file)
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(WORKERS, timeout=120)
        yield Cluster(address.replace("tcp://", "dask://"), one, workers)
    finally:
        for process in (*workers, one):
            process.kill()
            process.wait()


def _started(program: str, *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
    with (folder / f"{program}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _address_in(file: Path) -> str:
    for _ in range(600):
        if file.exists() and (text := file.read_text()):
            return str(json.loads(text)["address"])
        time.sleep(0.1)
    raise AssertionError("the scheduler does not start")
