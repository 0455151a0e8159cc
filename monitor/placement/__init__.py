"""Placement policies: where new pages go and what becomes of hot ones. One policy, one file.

Every module here is the policy of its name (hyphens for underscores), except those that ``registry`` names.
"""
