"""The tests: what is started for a folder ends with it, so folders are packages where that is a stack."""
