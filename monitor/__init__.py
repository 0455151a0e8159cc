"""The Disco monitor, one mechanism per file, as a system that replay can run."""
