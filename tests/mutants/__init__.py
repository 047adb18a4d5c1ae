"""Mutation testing of the modules that decide: `make mutants`. Small changes of the code that a test must notice."""
