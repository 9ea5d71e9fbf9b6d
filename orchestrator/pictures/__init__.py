"""Picture sets: drawn, varied, straightened; each picture with where it came from."""
