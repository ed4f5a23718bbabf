"""Simulation-based calibration: whether an approximation of posteriors is right on average over the prior.

Parameters are drawn from the prior, data from the model, and the rank of each true parameter among the approximation's
draws is noted; for an exact posterior all ranks are equally likely (Talts et al. 2018, theorem 1). The test of
uniformity is ArviZ's, and so is the plot. NumPyro's `vsbc_diagnostic` asks for less, symmetry of the ranks, which an
approximation of half the width has; its ranks may be given to `Calibration.of_ranks`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from numpyro import handlers

from dpm_ppl._common.checks import check_key, whole_number
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.progress import count_display
from dpm_ppl._common.types import PRNGKey
from dpm_ppl._common.wording import short_repr
from dpm_ppl.analysis.tree.tree import to_datatree
from dpm_ppl.estimates.standard_errors import Estimate, estimate

if TYPE_CHECKING:
    from arviz_plots.plot_collection import PlotCollection

type Simulate = Callable[[PRNGKey], tuple[Mapping[str, Any], Any]]
type Approximate = Callable[[Any, PRNGKey], Mapping[str, Any]]
type Quantities = Callable[[Mapping[str, Any], Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Calibration:
    """Where the true values stand among draws of the approximation, over simulations.

    `probabilities` by quantity, `(simulation, ...)`: (rank + u) / (`num_draws` + 1) with u uniform, which for an exact
    posterior is uniform on [0, 1], without ties. Make one by `calibrate`, or `Calibration.of_ranks`.
    """

    __repr__ = short_repr

    probabilities: dict[str, np.ndarray]
    num_draws: int

    @classmethod
    def of_ranks(cls, ranks: Mapping[str, ArrayLike], num_draws: int, *, seed: int = 0) -> "Calibration":
        """From ranks 0 to `num_draws` by quantity, `(simulation, ...)`, for instance of NumPyro's `vsbc_diagnostic`.

        **Raises:** `InputError` where ranks are out of range, or fewer than two.
        """
        rng = np.random.default_rng(seed)
        arrays = {name: np.asarray(values) for name, values in ranks.items()}
        for name, array in arrays.items():
            in_range = array.dtype.kind in "iu" and bool(np.all((array >= 0) & (array <= num_draws)))
            if array.ndim == 0 or len(array) < 2 or array.size == 0 or not in_range:
                expected = f"whole numbers 0 to {num_draws}, (simulation, ...), of two simulations or more"
                got = f"shape {array.shape}, dtype {array.dtype}"
                raise InputError(f"ranks[{name!r}]", expected=expected, got=got, remedy="count draws below the truth")
        return cls(
            {name: (array + rng.uniform(size=array.shape)) / (num_draws + 1) for name, array in arrays.items()},
            num_draws,
        )

    @cached_property
    def p_values(self) -> dict[str, np.ndarray]:
        """Of uniformity, one for each component of each quantity, as `az.plot_ecdf_pit` shows them.

        ArviZ's `pot_c` (pointwise tests, combined by Cauchy), whose level is approximate: of exact posteriors it has
        p <= 0.05 for 6.5 %, p <= 0.01 for 1.4 % and p <= 0.001 for 0.2 %, for 20 simulations as for 200.
        """
        from arviz_stats.base.array import array_stats  # takes seconds

        test = array_stats.uniformity_test
        return {name: np.asarray(test(values, axis=0)[0]) for name, values in self.probabilities.items()}

    @property
    def num_tests(self) -> int:
        """Components of all quantities together."""
        return sum(values.size for values in self.p_values.values())

    @property
    def p_value(self) -> float:
        """Of all components at once: the smallest of the p-values times their number (Bonferroni), at most 1."""
        return min(1.0, self.num_tests * min(float(values.min()) for values in self.p_values.values()))

    def shift(self) -> dict[str, Estimate]:
        """Mean probability less 1/2: above 0, the approximation lies too low."""
        return {name: estimate(values - 0.5) for name, values in self.probabilities.items()}

    def width(self) -> dict[str, Estimate]:
        """12 E (probability - 1/2)^2 - 1: above 0, the draws are too narrow and the truth too often in their tails."""
        return {name: estimate(12 * (values - 0.5) ** 2 - 1) for name, values in self.probabilities.items()}

    def verdict(self, level: float = 0.05) -> str:
        """One line: whether uniformity is rejected, for which quantities, and in what way."""
        tests = f"{self.num_tests} test{'s' * (self.num_tests > 1)}"
        size = f"{len(next(iter(self.probabilities.values())))} simulations of {self.num_draws} draws"
        if self.p_value > level:
            return f"not rejected: {_shown(self.p_value)} over {tests}, {size}"
        shift, width = self.shift(), self.width()
        ways = [
            f"{name} {_way(shift[name], width[name])}"
            for name, values in self.p_values.items()
            if self.num_tests * values.min() <= level
        ]
        return f"rejected: {_shown(self.p_value)} over {tests}, {size}; {', '.join(ways)}"

    def __str__(self) -> str:
        return self.verdict()

    def tree(self) -> xr.DataTree:
        """The probabilities as ArviZ's group `prior_sbc`, a simulation for a draw."""
        attrs = {"num_draws": self.num_draws}
        return to_datatree(prior_sbc={name: values[None] for name, values in self.probabilities.items()}, attrs=attrs)


def calibrate(
    simulate: Simulate,
    approximate: Approximate,
    key: PRNGKey,
    *,
    num_simulations: int = 200,
    quantities: Quantities | None = None,
    compiled: bool = True,
    simulations_chunk: int = 50,
    progress: bool = False,
) -> Calibration:
    """Simulation-based calibration of any approximation: a fitted guide, MCMC, a sampler, an exact posterior.

    An approximation that ignores the data and returns the prior passes in all parameters: give `quantities` that
    depend on the data, such as the log-likelihood, to catch it (Modrak et al. 2023).

    **Arguments:**

    - `simulate`: `key` to `(parameters, data)`, arrays by name and anything; `prior_simulator` makes one of a model.
    - `approximate`: `(data, key)` to independent draws `(draw, ...)` of the parameters by name. Thin a Markov chain's.
    - `quantities`: `(parameters, data)` to arrays by name that are ranked as well, for one draw.
    - `compiled`: whether JAX can trace `approximate`; then `simulations_chunk` simulations run side by side. If not,
      they run one by one.

    **Raises:** `InputError` where draws do not fit the parameters, or either are not finite.
    """
    num_simulations = whole_number("num_simulations", num_simulations, least=2, expected="two or more")
    simulations_chunk = whole_number("simulations_chunk", simulations_chunk)
    key = check_key(key)
    keys = jax.random.split(key, num_simulations)
    chunk = min(simulations_chunk, num_simulations) if compiled else 1
    found = []
    with count_display(progress, "simulations", num_simulations) as show:
        for start in range(0, num_simulations, chunk):
            if compiled:
                # The last chunk is filled up, so that one compiled program serves all.
                index = np.minimum(np.arange(start, start + chunk), num_simulations - 1)
                counts = _counts_of_chunk(simulate, approximate, quantities, keys[index])
            else:
                counts = jax.tree.map(lambda x: x[None], _counts(simulate, approximate, quantities, keys[start]))
            below, equal, failed, num_draws = jax.tree.map(np.asarray, counts)
            _check_finite(*failed)
            found.append((below, equal, num_draws))
            show(min(start + chunk, num_simulations))
    below, equal, num_draws = jax.tree.map(lambda *parts: np.concatenate(parts)[:num_simulations], *found)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    # Draws that equal the truth, as discrete ones do, stand on either side of it by chance.
    ranks = {name: below[name] + rng.integers(0, equal[name] + 1) for name in below}
    return Calibration.of_ranks(ranks, int(num_draws[0]), seed=int(rng.integers(2**32)))


def prior_simulator(
    model: Callable[..., Any], data_sites: Sequence[str], *args: Any, **kwargs: Any
) -> Callable[[PRNGKey], tuple[dict[str, Any], dict[str, Any]]]:
    """`simulate` for `calibrate`, of a NumPyro model that draws its data where it is not given them.

    **Arguments:** `data_sites`, the names of the data, which come as arrays by name; all other sample sites are
    parameters. `args`, `kwargs`, what the model is called with, the data left out.
    """

    def simulate(key: PRNGKey) -> tuple[dict[str, Any], dict[str, Any]]:
        trace = handlers.trace(handlers.seed(model, key)).get_trace(*args, **kwargs)
        values = {name: site["value"] for name, site in trace.items() if site["type"] == "sample"}
        if unknown := [name for name in data_sites if name not in values]:
            got = f"{unknown[0]}, but the sites are {', '.join(values)}"
            raise InputError("data_sites", expected="sample sites of the model", got=got, remedy="name them as it does")
        data = {name: values.pop(name) for name in data_sites}
        return values, data

    return simulate


def plot_calibration(calibration: Calibration, *, backend: str | None = None, **options: Any) -> "PlotCollection":
    """ECDF of the probabilities less that of the uniform law, a panel each, with its p-value; `plot_ecdf_pit`."""
    from arviz_plots import plot_ecdf_pit

    return plot_ecdf_pit(calibration.tree(), backend=backend, **options)


def _check_finite(truth_failed: Mapping[str, np.ndarray], draws_failed: Mapping[str, np.ndarray]) -> None:
    """Raise `InputError` where the values or the draws of a simulation failed, `(simulation,)` by name."""
    for argument, what, failed in (("simulate", "values", truth_failed), ("approximate", "draws", draws_failed)):
        for name, simulations in failed.items():
            if simulations.any():
                raise InputError(
                    argument,
                    expected=f"finite {what}",
                    got=f"{what} of {name} that are not, in {simulations.sum():,} of {len(simulations):,} simulations",
                    remedy="find out why; ranks among such draws say nothing",
                )


def _counts(simulate: Any, approximate: Any, quantities: Any, key: Any) -> tuple[Any, ...]:
    """For one simulation: draws below the truth, draws equal to it, whether either fail, and how many there are."""
    for_simulation, for_draws = jax.random.split(key)
    truth, data = simulate(for_simulation)
    draws = dict(approximate(data, for_draws))
    expected = {name: jnp.shape(value) for name, value in truth.items()}
    sizes = {jnp.shape(draws[name])[:1] for name in truth if name in draws}
    if len(sizes) != 1 or any(name not in draws or jnp.shape(draws[name])[1:] != expected[name] for name in truth):
        raise InputError(
            "approximate",
            expected=f"as many draws of each of {expected}",
            got=f"{ {name: jnp.shape(value) for name, value in draws.items()} }",
            remedy="return arrays (draw, ...) by name",
        )
    truth, draws = ({name: jnp.asarray(values[name]) for name in truth} for values in (truth, draws))
    failed = [{name: ~jnp.isfinite(x).all() for name, x in values.items()} for values in (truth, draws)]
    if quantities is not None:
        draws = {**draws, **jax.vmap(lambda parameters: dict(quantities(parameters, data)))(draws)}
        truth = {**truth, **quantities(truth, data)}
        # A quantity may be infinite, as the log-density of what cannot be is.
        for known, values in zip(failed, (truth, draws), strict=True):
            known |= {name: jnp.isnan(x).any() for name, x in values.items() if name not in known}
    below = {name: (draws[name] < truth[name]).sum(axis=0) for name in truth}
    equal = {name: (draws[name] == truth[name]).sum(axis=0) for name in truth}
    return below, equal, failed, jnp.asarray(next(iter(sizes))[0])


@eqx.filter_jit
def _counts_of_chunk(simulate: Any, approximate: Any, quantities: Any, keys: Any) -> Any:
    return jax.vmap(lambda key: _counts(simulate, approximate, quantities, key))(keys)


def _way(shift: Estimate, width: Estimate) -> str:
    """The clearer of the two ways in which the component that has it most clearly is wrong."""
    by_shift = np.ravel(np.asarray(shift.mean) / np.asarray(shift.se))
    by_width = np.ravel(np.asarray(width.mean) / np.asarray(width.se))
    most_shift, most_width = by_shift[np.abs(by_shift).argmax()], by_width[np.abs(by_width).argmax()]
    if max(abs(most_shift), abs(most_width)) < 2 or not math.isfinite(most_shift * most_width):
        return "of another shape"
    if abs(most_shift) > abs(most_width):
        return "too low" if most_shift > 0 else "too high"
    return "too narrow" if most_width > 0 else "too wide"


def _shown(p_value: float) -> str:
    return f"p = {p_value:.2g}" if p_value > 1e-16 else "p < 1e-16"
