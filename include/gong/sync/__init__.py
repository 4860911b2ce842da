"""The steps of the DAGs, between the provider and the warehouse."""
