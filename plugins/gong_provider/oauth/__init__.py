"""OAuth with single-use refresh tokens, shared by all workers."""
