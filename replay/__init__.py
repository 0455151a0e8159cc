"""Counts what happens when a trace runs on a machine under a system. Knows no price."""
