"""The diffusion itself: its two chains as NumPyro programs, draws from it, and the bound K.

- `Diffusion` puts kernel, schedule and network together; every other function takes one.
- `reverse_chain` is the model and `forward_chain` the guide, for SVI. Inside a program of your own use the
  distributions `ReverseChain` and `ForwardChain`.
- `sample` draws data, `sample_path` all of x_1 ... x_T.
- `bound` gives K with its terms, per datum and per step, as a `Bound`; `entropy_bounds` says between what limits the
  entropy of a reverse step lies.
"""

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
