"""NUTS on the noise of the chain: the reference for small problems of real data."""

from typing import Any, ClassVar

import equinox as eqx
import numpy as np
import numpyro
from numpyro.diagnostics import summary
from numpyro.infer import MCMC as NumPyroMCMC
from numpyro.infer import NUTS

from dpm_ppl._common.checks import number_in
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.likelihood.diagnostics import DOUBTFUL, RELIABLE
from dpm_ppl.posterior.latent import latent
from dpm_ppl.posterior.methods.base import AbstractConditioning, Drawn, count, equal_weights
from dpm_ppl.posterior.observations import AbstractObservation, NormalCoordinates
from dpm_ppl.posterior.result import FEWEST_EFFECTIVE

MOST_RHAT = 1.01


def _share(value: Any) -> float:
    return number_in("target_accept", value, 0, 1, expected="a share between 0 and 1", remedy="use 0.8, or 0.95")


class MCMC(AbstractConditioning):
    """NumPyro's NUTS on x_T and the noise of every step, all standard normal under the chain (non-centred).

    T + 1 times as many coordinates as the data have, each gradient a pass through the whole chain: for T up to a
    hundred and a few coordinates. It gives no evidence. `target_accept` is NumPyro's `target_accept_prob`: nearer to 1,
    steps are shorter and fewer of them diverge.
    """

    num_warmup: int = eqx.field(static=True, default=500, converter=count("num_warmup"))
    num_samples: int = eqx.field(static=True, default=500, converter=count("num_samples", 4))
    num_chains: int = eqx.field(static=True, default=4, converter=count("num_chains"))
    target_accept: float = eqx.field(static=True, default=0.8, converter=_share)
    name: ClassVar[str] = "mcmc"

    def check(self, diffusion: StepLaws, observation: AbstractObservation) -> None:
        is_exact = isinstance(observation, NormalCoordinates) and bool((observation.variance <= 0).any())
        if is_exact or not diffusion.kernel.reparametrised:
            raise InputError(
                "method",
                expected="for NUTS, real data and an observation with noise",
                got="coordinates that are known exactly" if is_exact else type(diffusion.kernel).__name__,
                remedy="use SMC() or Gibbs()",
            )

    def draw(self, diffusion: StepLaws, observation: AbstractObservation, key: PRNGKey) -> Drawn:
        def model() -> None:
            x_0 = latent("x_0", diffusion)
            numpyro.factor("observed", observation.log_prob(x_0[None])[0])

        chains: dict[str, Any] = {"num_warmup": self.num_warmup, "num_samples": self.num_samples}
        mcmc = NumPyroMCMC(
            NUTS(model, target_accept_prob=self.target_accept),
            **chains,
            num_chains=self.num_chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        mcmc.run(key, extra_fields=("diverging",))
        samples: Any = mcmc.get_samples(group_by_chain=True)
        draws = np.asarray(samples["x_0"])
        found: Any = summary({"x_0": draws})["x_0"]
        ess, rhat = float(np.min(found["n_eff"])), float(np.max(found["r_hat"]))
        diverging = int(np.sum(mcmc.get_extra_fields()["diverging"]))
        is_reliable = ess >= FEWEST_EFFECTIVE and rhat <= MOST_RHAT and not diverging
        flat = draws.reshape(-1, *diffusion.event_shape)
        statistics = {"smallest_ess": ess, "rhat": rhat, "num_diverging": diverging}
        notices = () if is_reliable else (advice(rhat, ess, diverging),)
        return Drawn(flat, equal_weights(len(flat)), None, RELIABLE if is_reliable else DOUBTFUL, statistics, notices)


def advice(rhat: float, ess: float, num_diverging: int) -> str:
    """What is wrong with chains that are not reliable, and what to change."""
    changes = ["raise target_accept"] * (num_diverging > 0)
    changes += ["raise num_warmup"] * (not rhat <= MOST_RHAT)  # it is NaN where a chain stands still
    changes += ["raise num_samples"] * (not ess >= FEWEST_EFFECTIVE)
    found = f"R-hat {rhat:.3f}, {ess:,.0f} effective draws, {num_diverging} divergences"
    return f"{found}: {', '.join(changes)}; or take fewer steps T, or SMC, which has no trouble with many"
