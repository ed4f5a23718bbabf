"""What is done with results: comparisons, posteriors, plots, pages and ArviZ data. Arrays below, labelled data above.

- `comparison`: which of several methods is best on the same data.
- `posteriors`: how good approximations of a posterior are; calibration.
- `plots`: pictures of results, of a diffusion and of its draws.
- `tree`: results as an xarray `DataTree`, for ArviZ and for files.
- `page`: results as one HTML page.
"""
