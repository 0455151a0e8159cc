"""Which workers carry out tasks: processes of this computer, or those of a cluster."""

from collections.abc import Callable

from discotrace.analysis.sweep.cluster_names import check
from discotrace.analysis.sweep.local import LocalWorkers, cores
from discotrace.analysis.sweep.workers import Workers
from discotrace.tracegen.errors import ConfigError


def workers_on(on: str | None, number: int | None) -> Callable[[], Workers]:
    """What starts so many workers (None = all cores); ``on``: None = here, else a cluster of Dask.

    Raises ConfigError for what is no cluster, for a number of workers that is missing or less than 1, or where Dask is
    missing.
    """
    if number is not None and number < 1:
        raise ConfigError(f"{number} workers cannot do anything: have 1 or more")
    if on is None:
        return lambda: LocalWorkers(number or cores())
    check(on, number)
    from discotrace.analysis.sweep.cluster import ClusterWorkers
    from discotrace.analysis.sweep.clusters import silence

    silence()
    return lambda: ClusterWorkers(on, number or cores())


def workers_beside(on: str | None, number: int | None) -> Callable[[], Workers] | None:
    """The same for what is done here by this process as well: None = here, where one worker or none is asked for."""
    return None if on is None and number in (None, 1) else workers_on(on, number)
