"""Resampling of particles, for sequential Monte Carlo of any model.

`systematic` and `stratified` add the least noise, `residual` keeps what is certain, and `multinomial` draws every
ancestor by itself. They are what `dpm_ppl.SequentialMonteCarlo(resample=...)` takes.
"""

from dpm_ppl.smc.resampling import multinomial, residual, stratified, systematic

__all__ = ["multinomial", "residual", "stratified", "systematic"]
