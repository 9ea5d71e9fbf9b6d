"""Commands of the simulated accelerate."""
