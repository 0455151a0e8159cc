"""discotrace: what would this workload cost on that machine, under that system software?"""

from discotrace.version import VERSION as __version__

__all__ = ["__version__"]
