"""A stack that is killed in part or whole."""
