"""Conversion between the two kinds of numbers in kernels: addresses and keys are np.uint64, all others int."""

from typing import SupportsInt

import numpy as np

from discotrace.replay.kernels.compile import inlined


@inlined
def signed(number: SupportsInt) -> int:
    """A number as int (64 bits). Also keeps Numba from compiling a callee once more for a constant argument."""
    return np.int64(number)  # type: ignore[return-value]  # compiled, an int is np.int64
