"""discotrace: what would this workload cost on that machine, under that system software?

From Python the verbs of the command line are functions: ``discotrace.replay("trace.parquet")``; see ``discotrace.api``.
"""

from types import ModuleType
from typing import Any

from discotrace import replay
from discotrace.tracegen.errors import DiscotraceError
from discotrace.version import VERSION

__version__ = VERSION
__all__ = ["DiscotraceError", "best", "curve", "diff", "effects", "plan_of", "price", "replay", "results", "sweep"]


class _Replay(ModuleType):
    """The package ``discotrace.replay``, which called is the verb of that name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """See ``discotrace.api.replay``."""
        from discotrace import api

        return api.replay(*args, **kwargs)


replay.__class__ = _Replay


def __getattr__(name: str) -> Any:
    """The verbs, which are imported when they are used: the command line answers without them."""
    if name in __all__:
        from discotrace import api

        return getattr(api, name)
    raise AttributeError(f"module 'discotrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
