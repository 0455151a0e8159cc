"""Compiled building blocks of replay, one structure each; `reference` is the life of a reference."""
