"""Networks the simulated trainer can be asked for by --network_module."""
