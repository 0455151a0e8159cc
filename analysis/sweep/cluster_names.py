"""What ``--on`` may name: clusters of Dask."""

from importlib import import_module

from discotrace.tracegen.errors import ConfigError

LOCAL = "local"
QUEUES = {  # and their classes in dask_jobqueue
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
PROTOCOLS = {"dask": "tcp", "tcp": "tcp", "tls": "tls"}  # of addresses, and what Dask calls them


def check(on: str, workers: int | None) -> None:
    """Raises ConfigError for what is no cluster, for a number of workers that is missing, or where Dask is missing."""
    protocol, separator, place = on.partition("://")
    if separator:
        known = protocol in PROTOCOLS and place.rpartition(":")[0] and place.rpartition(":")[2].isdecimal()
    else:
        known = on == LOCAL or on in QUEUES
    if not known:
        raise ConfigError(f"--on is {on!r}, expected {LOCAL}, {', '.join(QUEUES)} or dask://HOST:PORT of a scheduler")
    if on in QUEUES and workers is None:
        raise ConfigError(f"--on {on} needs --workers N: how many jobs")
    for module in ("distributed", *(["dask_jobqueue"] if on in QUEUES else [])):
        try:
            import_module(module)
        except ImportError as fault:
            raise ConfigError(f"--on {on} needs Dask: pip install 'discotrace[dask]'") from fault
