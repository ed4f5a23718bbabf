"""`Diffusion`: kernel, schedule and network as a method, whose model and guide are the two chains."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import params_site
from dpm_ppl._common.types import Array, Batch, Cost, Datum, PRNGKey
from dpm_ppl.diffusion.bounds import scored
from dpm_ppl.diffusion.chains import forward_chain, reverse_chain
from dpm_ppl.diffusion.continuous import continuous_bound, why_not_continuous
from dpm_ppl.diffusion.jumps import jumps
from dpm_ppl.diffusion.paths import independent, log_weight_of_paths, simulate_paths
from dpm_ppl.diffusion.sampled import sampled_bound
from dpm_ppl.diffusion.sampling import sample
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.diffusion.terms import log_null
from dpm_ppl.methods.base import AbstractMethod
from dpm_ppl.networks.temporal import AtTimes
from dpm_ppl.schedules import LearnedLogSNR, Strided


class Diffusion(StepLaws, AbstractMethod):
    """A diffusion probabilistic model: what both chains are made of.

    **Arguments:**

    - `kernel`: the family of the laws of one step.
    - `schedule`: the rates beta_1 ... beta_T.
    - `network`: maps x_t and a step to raw outputs of shape `(*event_shape, kernel.num_outputs)`.
    - `event_shape`: the shape of one datum.
    - `edge`: `"fixed"` is the paper's last step, p(x_0 | x_1) = T_pi(x_0 | x_1; beta_1) (section 2.4.1, appendix B.2);
      `"learned"` uses the reverse kernel for it as for every other step.

    **Raises:** `InputError` where the parts do not fit together.
    """

    proposals: ClassVar[tuple[str, ...]] = ("trajectories", "smc")

    @property
    def model(self) -> Callable[..., Any]:
        """`reverse_chain` of this diffusion."""
        return partial(reverse_chain, self)

    @property
    def guide(self) -> Callable[..., Any]:
        """`forward_chain` of this diffusion."""
        return partial(forward_chain, self)

    @property
    def chain(self) -> "Diffusion":
        return self

    def with_params(self, params: "dict | Diffusion") -> "Diffusion":
        """This diffusion with the trained parameters of a NumPyro param site `diffusion$params`.

        `params` is what `SVI.get_params` or `SVIRunResult.params` holds, or the value of that site alone.
        """
        trained = params.get(params_site("diffusion"), None) if isinstance(params, dict) else params
        if not isinstance(trained, Diffusion):
            raise InputError(
                "params",
                expected="the params of an SVI run on reverse_chain and forward_chain",
                got=f"keys {sorted(params)}" if isinstance(params, dict) else type(params).__name__,
                remedy="pass svi_result.params",
            )
        try:
            return eqx.combine(trained, self)
        except ValueError as error:
            raise InputError(
                "params",
                expected="the parameters of this diffusion",
                got="those of another one",
                remedy="build the diffusion as it was when it was trained",
            ) from error

    def strided(self, num_steps: int) -> "Diffusion":
        """The same trained chain on `num_steps` of its T steps, evenly spread over 1..T and with both of these.

        It is a diffusion like any other, with a bound, weights and posteriors of its own, at the cost of `num_steps`
        evaluations of the network in place of T. Its K is in general lower, as a long step has a law that is further
        from the kernel's; how much lower `bound` says. The network is told the time of the whole chain. It has to
        predict what does not depend on the length of a step, as it does for the readouts `noise_prediction`, `velocity`
        and `clean_rate`; with others K is still a bound, but a poor one.

        **Raises:** `InputError` unless 2 <= `num_steps` <= T.
        """
        schedule = Strided(self.schedule, num_steps)
        network = AtTimes(self.network, tuple(schedule.times.tolist()))
        return replace(self, schedule=schedule, network=network)

    def log_weight(self, x_0: Datum, key: PRNGKey) -> Cost:
        return log_weight_of_paths(self, x_0[None], key, independent, None)[0]

    def sample(self, key: PRNGKey, num_samples: int) -> Batch:
        return sample(self, key, num_samples)

    def simulate(self, key: PRNGKey, num_data: int) -> tuple[Batch, Cost]:
        return simulate_paths(self, key, num_data)

    def bound_terms(
        self,
        x_0: np.ndarray | Array,
        key: PRNGKey,
        draw: tuple[int, int],
        *,
        num_sampled_steps: int | None = None,
        steps_chunk: int | None = None,
        data_chunk: int | None = None,
    ) -> dict[str, Any]:
        shared_key = jax.random.fold_in(key, draw[1])  # the noise of x_t is shared out between the draws
        own_key = jax.random.fold_in(shared_key, draw[0])
        if num_sampled_steps is None:
            K, L_null = scored(self, x_0, shared_key, *draw, steps_chunk=steps_chunk, data_chunk=data_chunk)
        else:
            K = sampled_bound(self, x_0, own_key, num_sampled_steps=num_sampled_steps, data_chunk=data_chunk)
            L_null = log_null(self, jnp.asarray(x_0))
        terms = {"K": K, "L_null": L_null}
        if isinstance(self.schedule, LearnedLogSNR) and why_not_continuous(self) is None:
            terms["K_continuous"] = continuous_bound(self, x_0, own_key, data_chunk=data_chunk)
        return terms

    def hidden_states(self, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int | None) -> np.ndarray:
        if self.kernel.reparametrised:
            return np.empty((len(x_0), 0, 2))
        return np.asarray(jumps(self, x_0, number, key, steps_chunk), np.float64)
