"""The diffusion: the laws of its steps, its two chains as NumPyro programs, and the bound K with its terms."""

from dpm_ppl.diffusion.bounds import Bound, EntropyBounds, bound, entropy_bounds
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, forward_chain, reverse_chain
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.sampling import sample, sample_path
from dpm_ppl.diffusion.step_laws import Edge

__all__ = [
    "Bound",
    "Diffusion",
    "Edge",
    "EntropyBounds",
    "ForwardChain",
    "ReverseChain",
    "bound",
    "entropy_bounds",
    "forward_chain",
    "reverse_chain",
    "sample",
    "sample_path",
]
