"""Short DAGs for each operator and the hook: the examples of docs/operators.md, which tests run."""
