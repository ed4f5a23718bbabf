"""Diffusion probabilistic models (Sohl-Dickstein et al. 2015) as NumPyro programs.

The reverse chain is the model, the forward chain the guide, and the paper's bound K an SVI objective. What a user types
every day is here; all else is one room further: `dpm_ppl.kernels`, `dpm_ppl.likelihood`, ..., each of which says at its
head what to use when.
"""

from importlib.metadata import version

from dpm_ppl._common.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
__version__ = version("dpm-ppl")
