"""Compares a Gong account's responses, from at most 20 calls, with this project's assumptions."""
