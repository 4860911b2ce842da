"""OAuth's single-use refresh tokens, shared by all workers."""
