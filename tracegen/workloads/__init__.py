"""Workloads that are executed: each runs its algorithm on its data and emits the references that this makes."""
