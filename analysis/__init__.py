"""Analysis of fitted diffusions: arrays below, labelled ArviZ data above, plots on top."""
