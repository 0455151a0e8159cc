"""SPLASHOS on the monitor (D 4.4): a library OS without virtual memory, whose page faults Disco takes itself."""

from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.kernels.splashos import Splashos, replay_splashos


class SplashosSystem(DiscoSystem):
    """Applications linked with their OS. What differs is compiled: which rows run, and who refills the TLB."""

    name = "splashos"
    replay_rows = staticmethod(replay_splashos)
    numbers = Splashos
