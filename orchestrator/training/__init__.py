"""A training: plan it, run it, keep its record."""
