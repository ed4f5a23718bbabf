"""Methods: whatever gives a bound and a likelihood of independent data, so that it can be scored and compared.

- `Program` makes one of any NumPyro model and guide. (`dpm_ppl.Diffusion` is one already.)
- `LogDensity` makes one of a known log-density, such as the true law of simulated data.
- A kind of your own is a subclass of `AbstractMethod`; nothing else has to know of it.
- `log_weights` gives one importance weight per datum, as every method does.
"""

from dpm_ppl.methods.base import AbstractMethod, log_weights
from dpm_ppl.methods.log_density import LogDensity
from dpm_ppl.methods.program import Program

__all__ = ["AbstractMethod", "LogDensity", "Program", "log_weights"]
