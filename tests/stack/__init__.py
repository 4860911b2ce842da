"""Clicks in a real browser, on one stack."""
