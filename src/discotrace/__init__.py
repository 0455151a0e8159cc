"""discotrace: what would this workload cost on that machine, under that system software?"""

from discotrace.version import VERSION

__version__ = VERSION
