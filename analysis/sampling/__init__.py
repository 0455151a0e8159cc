"""Estimates of long traces from some intervals of them."""
