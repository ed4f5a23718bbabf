"""The diffusion itself: its two chains as NumPyro programs, draws from it, and the bound K.

- `Diffusion` puts kernel, schedule and network together; every other function takes one.
- `reverse_chain` is the model and `forward_chain` the guide, for SVI. Inside a program of your own use the
  distributions `ReverseChain` and `ForwardChain`.
- `sample` draws data, `sample_path` all of x_1 ... x_T, and `first_of_path` is x_1 of these.
- `bound` gives K with its terms, per datum and per step, as a `Bound`; `entropy_bounds` says between what limits the
  entropy of a reverse step lies. `sampled_bound` estimates K from a few steps of each datum; `continuous_bound` is K
  in the limit of ever more steps.
"""

from dpm_ppl.diffusion.bounds import Bound, EntropyBounds, bound, entropy_bounds
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path, forward_chain, reverse_chain
from dpm_ppl.diffusion.continuous import continuous_bound
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.sampled import sampled_bound
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
    "continuous_bound",
    "entropy_bounds",
    "first_of_path",
    "forward_chain",
    "reverse_chain",
    "sample",
    "sample_path",
    "sampled_bound",
]
