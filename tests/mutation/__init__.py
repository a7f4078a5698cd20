"""Mutation harness: RTL with one planted bug each, and the tests that must notice it (`make mutation`)."""
