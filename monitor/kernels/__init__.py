"""The compiled half of the monitor: what its trap handlers do."""
