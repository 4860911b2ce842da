"""All tests; a folder whose tests share a stack is a package, so that the stack ends with it."""
