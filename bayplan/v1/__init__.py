"""Generated stubs of protos/bayplan/v1 (`make protos`)."""
