"""A simulated accelerate: only the command that starts a trainer."""
