"""Limits on an account's calls a second and a day, shared by all workers."""
