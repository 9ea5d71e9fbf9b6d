"""A server that answers as AUTOMATIC1111's web API does, with a painter in the place of the diffusion model."""
