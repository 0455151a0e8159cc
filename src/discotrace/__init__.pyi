from discotrace.api import best as best
from discotrace.api import curve as curve
from discotrace.api import diff as diff
from discotrace.api import effects as effects
from discotrace.api import plan_of as plan_of
from discotrace.api import price as price
from discotrace.api import replay as replay
from discotrace.api import results as results
from discotrace.api import sweep as sweep
from discotrace.tracegen.errors import DiscotraceError as DiscotraceError

__version__: str
