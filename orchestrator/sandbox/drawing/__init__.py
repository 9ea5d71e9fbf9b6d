"""How a simulated portrait is put on pixels: paths, shading, and one module for each part of the picture."""
