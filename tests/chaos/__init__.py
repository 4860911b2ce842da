"""Tests that kill a stack in part or whole."""
