"""Answers from the results of sweeps: the best points, what each parameter does, what differs between two sweeps."""
