"""What every room stands on: errors and checks, types, sums, chunks of work, files, progress, words.

Nothing here knows what a diffusion is.
"""
