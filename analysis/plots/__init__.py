"""Plots on ArviZ's PlotCollection: every function returns the collection and shows nothing."""
