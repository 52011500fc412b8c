"""Generated code of the contract `cloneservice.v1`; see protos/generate.py."""
