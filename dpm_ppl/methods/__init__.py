"""Methods: whatever gives a bound and a likelihood of independent data.

`AbstractMethod` is the contract, `Program` any NumPyro model and guide; a `Diffusion` has a room of its own.
"""

from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.methods.program import Program

__all__ = ["AbstractMethod", "Program"]
