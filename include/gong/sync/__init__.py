"""Functions that the DAGs' tasks run, between the provider and the warehouse."""
