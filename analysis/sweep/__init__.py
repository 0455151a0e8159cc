"""Sweeps: many points of a machine's parameters, as few replays as they need, all of them priced."""
