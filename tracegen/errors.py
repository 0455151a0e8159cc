"""The errors that a user can cause, each with the exit code that the command line returns for it.

They are raised where the fault is found, with a message that is one sentence with an address (file, row group,
row, key), and printed in one place (``discotrace.cli``). Anything else that escapes is a bug of ours.
"""


class DiscotraceError(Exception):
    """Base of all errors that are the user's to mend. Exit code 2: bad input or usage."""

    exit_code = 2


class TraceError(DiscotraceError):
    """A trace file that cannot be read, or a row that breaks the format."""


class ConfigError(DiscotraceError):
    """A configuration that is misspelt, out of range or impossible."""


class CaptureError(DiscotraceError):
    """A program could not be captured."""


class OutputError(DiscotraceError):
    """A result could not be written."""


class CheckFailedError(DiscotraceError):
    """A check that the user asked for did not hold. Exit code 1."""

    exit_code = 1
