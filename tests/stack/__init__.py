"""Tests on one stack, some in a real browser."""
