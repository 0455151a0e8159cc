"""Compiles building blocks of kernels for linking only: no machine code, no optimisation of their own.

Numba gives every function a library, optimises it with all that it calls, and makes machine code of it. Nobody but
other kernels calls a block, so all that is done again, for good, with the entry that it ends up in. Without the first
time the replay kernels compile in a third of the time (docs/performance.md). Nothing else depends on this file.
"""

from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]  # a compiled module
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.typed_passes import NativeLowering


class BlockLibrary(JITCodeLibrary):
    """Holds a block as it was lowered until an entry's library takes it over."""

    def _optimize_final_module(self) -> None:
        """The entry's library does this."""

    def _finalize_final_module(self) -> None:
        """Nothing is handed to the execution engine."""
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class RegisterBlock(LoweringPass):
    """Makes the lowered block known to its callers. Python cannot call it: its address is 0."""

    _name = "register_block"

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def run_pass(self, state: Any) -> bool:
        """What numba's lowering does at its end, with no machine code to point to. ``state`` is numba's StateDict."""
        lowered = state.cr
        name = lowered.fndesc.qualname
        handle = _dynfunc.make_function(lowered.fndesc.lookup_module(), name, "", 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(handle, lowered.fndesc, [state.library])
        state.cr = lowered._replace(cfunc=handle)
        return True


class BlockCompiler(CompilerBase):
    """Numba's usual passes for a function without Python objects, but no machine code."""

    def define_pipelines(self) -> list[PassManager]:
        """The one pipeline that numba is to try."""
        state = self.state
        state.flags.no_compile = True
        state.library = BlockLibrary(  # type: ignore[no-untyped-call]
            state.targetctx.codegen(), state.func_id.func_qualname
        )
        passes = DefaultPassBuilder.define_nopython_pipeline(state)  # type: ignore[no-untyped-call]
        passes.add_pass_after(RegisterBlock, NativeLowering)
        passes.finalize()
        return [passes]
