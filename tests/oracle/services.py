"""The services that run on each virtual CPU, and those that a library OS does without (section 13, D 4.4)."""

from discotrace.tracegen.schema import Kind, Service

FAULTS = (Service.DEMAND_ZERO, Service.QUICK_FAULT, Service.COPY_ON_WRITE, Service.PAGE_IN)
LEFT_OUT = (*FAULTS, Service.TICK, Service.SWITCH)


def context_of(service: Service) -> str:
    """The context in which what happens in a service is counted."""
    return f"kernel:{service.name.lower()}"


class Services:
    """The services entered and not left on each virtual CPU of the trace, outermost first."""

    def __init__(self, streams: int):
        """All virtual CPUs are in user code."""
        self.entered: list[list[Service]] = [[] for _ in range(streams)]

    def follow(self, stream: int, kind: int, arg: int) -> None:
        """Keeps the stack at ENTER and EXIT, whatever else becomes of the row."""
        if kind == Kind.ENTER:
            self.entered[stream].append(Service(arg))
        elif kind == Kind.EXIT:
            self.entered[stream].pop()

    def context(self, stream: int) -> str:
        """``user``, or the innermost service."""
        return context_of(self.entered[stream][-1]) if self.entered[stream] else "user"

    def is_left_out(self, stream: int) -> bool:
        """Whether the virtual CPU is inside a service that SPLASHOS does not have."""
        return any(service in LEFT_OUT for service in self.entered[stream])
