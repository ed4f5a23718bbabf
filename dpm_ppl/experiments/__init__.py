"""Experiments: data, method, objective and optimiser declared together, by name, options and seed."""
