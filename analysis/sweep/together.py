"""Tasks that are all needed: carried out by workers, those of a worker that dies once more."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from discotrace.analysis.sweep.workers import LIVES, PATIENCE, Done, Failed, Lost, Task, Workers
from discotrace.tracegen.errors import DiscotraceError


def all_done(tasks: Sequence[Task], workers: Workers, on_done: Callable[[Task], None] = lambda task: None) -> list[Any]:
    """Have all tasks carried out; their results in the order of the tasks. ``on_done`` is told each that is done.

    Raises what a task raises, DiscotraceError for a task that ``LIVES`` workers died of.
    """
    waiting = deque(tasks)
    results: dict[Task, Any] = {}
    deaths: Counter[Task] = Counter()
    while len(results) < len(tasks):
        while waiting and workers.room > 0:
            workers.submit(waiting.popleft())
        for news in workers.news(PATIENCE):
            if isinstance(news, Done):
                results[news.task] = news.result
                on_done(news.task)
            elif isinstance(news, Failed):
                raise news.fault
            elif isinstance(news, Lost):
                deaths[news.task] += news.deaths
                if deaths[news.task] >= LIVES:
                    raise DiscotraceError(
                        f"{deaths[news.task]} workers died of the same task, the last: {news.why}; have fewer workers, "
                        "or more memory"
                    )
                waiting.append(news.task)
    return [results[task] for task in tasks]
