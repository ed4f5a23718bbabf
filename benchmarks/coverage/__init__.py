"""How often the errors that the library prints hold the truth: `python -m benchmarks.coverage` prints one table.

Regimes are laws with a known truth (`regimes.py`). Figures of one datum are measured in `per_datum.py`, figures of
sets of data in `datasets.py`, distances in `two_samples.py`: functions `measure(repetitions, rng)` that yield rows,
listed in `MEASURES`.
"""
