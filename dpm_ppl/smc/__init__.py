"""Sequential Monte Carlo without a model: how particles are resampled."""
