"""Clusters of Dask: a scheduler that runs, processes here, jobs of a queueing system."""

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import dask
from distributed import Client, LocalCluster

from discotrace.analysis.sweep.cluster_names import PROTOCOLS, QUEUES
from discotrace.analysis.sweep.local import SINGLE_THREADED
from discotrace.tracegen.errors import ConfigError

PATIENCE = 15  # seconds for a scheduler to answer
MORE_DEATHS = 1  # workers that may die of a task in clusters of our own, before another death of it is told
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"  # Ctrl-C is for who started the workers


def silence() -> None:
    """Have Dask say nothing on standard error: what matters of it is said by our errors, in one line."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def connected(address: str) -> Client:
    """A client of a scheduler that runs. Raises ConfigError if it does not answer."""
    protocol, _, place = address.partition("://")
    try:
        return Client(f"{PROTOCOLS[protocol]}://{place}", timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as fault:
        remedy = f"start one with: dask scheduler; last word: {' '.join(str(fault).split())}"
        raise ConfigError(f"no Dask scheduler answers at {address} within {PATIENCE} s: {remedy}") from fault


def local_cluster(processes: int) -> LocalCluster:
    """Processes on this computer, one task at a time each. Dask watches over them and replaces those that die."""
    with _our_settings():
        return LocalCluster(
            n_workers=processes,
            threads_per_worker=1,
            memory_limit=0,  # what a replay needs depends on the modelled machine
            dashboard_address="127.0.0.1:0",  # any port that is free
            silence_logs=logging.CRITICAL,
            env=SINGLE_THREADED,
            preload=[DEAF],
        )


def queued_cluster(on: str, jobs: int) -> tuple[Any, int]:
    """Jobs of a queueing system, as the user's jobqueue.yaml describes one, and how many threads each of them has.

    Raises ConfigError where that is missing or wrong, or the system does not take the jobs.
    """
    kind = getattr(import_module("dask_jobqueue"), QUEUES[on])
    command = kind.job_cls.submit_command.split()[0]
    if shutil.which(command) is None:
        raise ConfigError(f"--on {on}: {command} is not on this computer, start this where jobs are submitted")
    try:
        with _our_settings():
            # A cluster that fails cannot be taken down without noise, so a job is tried first.
            trial = kind.job_cls("tcp://nowhere:1", name="trial")
            cluster = kind(silence_logs="critical")
    except (ValueError, TypeError, RuntimeError) as fault:
        raise ConfigError(f"--on {on}: {_line(fault)} (in jobqueue.yaml of Dask's configuration)") from fault
    cluster.scale(jobs=jobs)
    try:
        cluster.sync(_settled, cluster)
    except (OSError, RuntimeError, ValueError) as fault:
        cluster.close()
        raise ConfigError(f"--on {on}: no job could be submitted: {_line(fault)}") from fault
    return cluster, trial.worker_cores


async def _settled(cluster: Any) -> None:
    """Wait until all jobs are submitted."""
    await cluster


@contextmanager
def _our_settings() -> Iterator[None]:
    """What a scheduler of ours is told in the block that starts it."""
    with dask.config.set({"distributed.scheduler.allowed-failures": MORE_DEATHS}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Port 8787 is already in use")  # of the dashboard: it takes another
        yield


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())
