"""Where the simulated trainer declares its arguments, spread over modules as in sd-scripts."""
