"""One operator an endpoint."""
