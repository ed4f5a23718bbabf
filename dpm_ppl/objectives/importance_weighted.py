"""Objectives tighter than K: importance-weighted and Renyi bounds, and a better gradient for the former.

All weight the particles per datum where one plate encloses every sample site of model and guide, as it does in
`reverse_chain` and `forward_chain`; a program with a site outside of it is weighted jointly over the minibatch.

`DoublyReparametrisedELBO` leaves the bound to NumPyro's `RenyiELBO` and changes only how its gradient passes back
through the draws: every particle is run twice, first to draw its latents, then for its log-weight (`_Particle`), and in
between the gradient on its way back is multiplied by the particle's share once more (`_share_again`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Delta, Distribution
from numpyro.handlers import substitute, trace
from numpyro.infer import RenyiELBO
from numpyro.infer.elbo import ELBO

from dpm_ppl._common.checks import check_sizes, number_in
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import HoldingParams, with_all_particles
from dpm_ppl._common.types import Array, Float, PRNGKey


def importance_weighted_elbo(num_particles: int) -> RenyiELBO:
    """The importance-weighted bound E log (1/k) sum_i w_i of k particles (Burda et al. 2016), for `numpyro.infer.SVI`.

    It grows with k from the bound of `Trace_ELBO` at k = 1 to the log-likelihood. See the head of the module for when
    it is per datum.

    **Raises:** `InputError` unless `num_particles` is a positive integer.
    """
    return renyi_elbo(0.0, num_particles)


def renyi_elbo(alpha: float, num_particles: int) -> RenyiELBO:
    """Renyi's bound E log ((1/k) sum_i w_i^(1 - alpha)) / (1 - alpha) (Li and Turner 2016), for `numpyro.infer.SVI`.

    For `alpha` from 0 to 1 it leads from the importance-weighted bound to that of `Trace_ELBO`, and lies below the
    latter beyond.

    **Raises:** `InputError` for an `alpha` that is 1, negative or not finite, and unless `num_particles` is a positive
    integer.
    """
    check_sizes(num_particles=num_particles)
    about: dict[str, Any] = {
        "expected": "a finite number >= 0 other than 1",
        "remedy": "alpha = 1 is Trace_ELBO or DiffusionELBO; below 0 there is no lower bound",
    }
    alpha = number_in("alpha", alpha, 0, closed="low", **about)
    if alpha == 1:
        raise InputError("alpha", got="1", **about)

    return RenyiELBO(alpha=alpha, num_particles=num_particles)


class DoublyReparametrisedELBO(ELBO):
    """The importance-weighted bound with the doubly reparametrised gradient (DReG, Tucker et al. 2019, eq. 8).

    The value is that of `importance_weighted_elbo(num_particles)`, draw by draw. With w~_i a particle's share of the
    weight, parameters of the model get sum_i w~_i dlog w_i/dtheta, and those of the guide
    sum_i w~_i^2 (dlog w_i/dz_i)(dz_i/dphi): the same in expectation, but without the noise that drowns the guide's
    plain gradient as particles are added (Rainforth et al. 2018). With one particle it is the path derivative of the
    plain bound (Roeder et al. 2017), quiet where the guide is close to the posterior. A guide without trainable
    parameters gains nothing over `importance_weighted_elbo`.

    Parameters that both programs share, such as those of a `Learned` schedule, get the sum of the two. It is right in
    expectation, yet noisier than the plain gradient, in which the two densities' explicit derivatives cancel: train a
    shared schedule with `importance_weighted_elbo`.

    The guide's parameters must act through draws that have a density: its factors, and parameters that stand in a
    `Delta` without noise, get a wrong gradient.

    **Raises:** `InputError` unless `num_particles` is a positive integer; where a latent site of the guide is not
    reparametrised or stands outside of a plate that encloses the model; and where all are `Delta`.
    """

    def __init__(self, num_particles: int = 2):
        check_sizes(num_particles=num_particles)
        ELBO.__init__(self, num_particles=num_particles)

    def loss(self, rng_key, param_map, model, guide, *args, **kwargs):
        particle = _Particle(model, guide)

        def log_weights(log_weight: Callable, keys: Array) -> tuple[Array, Array]:
            draws, unused = jax.vmap(lambda key: particle.draw(log_weight, key))(keys)
            ties = jnp.zeros_like(unused)
            for name, shape in particle.share_shapes().items():
                draws[name], tie = _share_again(draws[name], jnp.zeros((len(keys), *shape), unused.dtype))
                ties += tie.reshape(ties.shape)
            values, scale = jax.vmap(lambda key, draw: particle.weight_and_scale(log_weight, key, draw))(keys, draws)
            return values + ties, scale

        bound = with_all_particles(RenyiELBO(num_particles=self.num_particles), log_weights)
        return bound.loss(rng_key, param_map, particle.model, particle.guide, *args, **kwargs)


class _Particle:
    """Both programs for one particle at a time: they draw its latents or, once these are given, find its log-weight."""

    def __init__(self, model: Callable, guide: Callable):
        self._model = model
        self._guide = guide
        self._given: dict[str, Array] | None = None
        self._latents: dict[str, dict[str, Any]] = {}
        self._plates: dict[int, int] = {}

    def draw(self, log_weight: Callable, key: PRNGKey) -> tuple[dict[str, Array], Array]:
        """The guide's latents, and their log weight."""
        self._given = None
        value, _ = log_weight(key)
        return {name: site["value"] for name, site in self._latents.items()}, value

    def weight_and_scale(self, log_weight: Callable, key: PRNGKey, latents: dict[str, Array]) -> tuple[Array, Any]:
        """The log weight of these latents and its scale, with no gradient by the parameters of the guide's density."""
        self._given = latents
        return log_weight(key)

    def share_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape in which a share of the weight, one for each element of the plates, multiplies each latent."""
        shapes = {}
        for name, site in self._latents.items():
            event_dim = site["fn"].event_dim
            batch_dim = jnp.ndim(site["value"]) - event_dim
            shapes[name] = (*(self._plates.get(dim, 1) for dim in range(-batch_dim, 0)), *[1] * event_dim)
        return shapes

    def model(self, *args, **kwargs):
        with trace() as sites:
            result = self._model(*args, **kwargs)
        stacks = [set(site["cond_indep_stack"]) for site in sites.values() if site["type"] == "sample"]
        self._plates = {frame.dim: frame.size for frame in set.intersection(*stacks)} if stacks else {}
        for name, site in self._latents.items():
            if not self._plates.keys() <= {frame.dim for frame in site["cond_indep_stack"]}:
                raise InputError(
                    name,
                    expected="the guide's site inside the plates that enclose all of the model",
                    got=f"plates {[frame.name for frame in site['cond_indep_stack']]}",
                    remedy="give the guide the model's plates",
                )
        return result

    def guide(self, *args, **kwargs):
        if self._given is not None:
            with HoldingParams(), substitute(data=self._given):
                return self._guide(*args, **kwargs)
        with trace() as sites:
            result = self._guide(*args, **kwargs)
        self._latents = {n: site for n, site in sites.items() if site["type"] == "sample" and not site["is_observed"]}
        _check_reparametrised(self._latents)
        return result


@jax.custom_vjp
def _share_again(draws: Float[Array, "particle ..."], tie: Float[Array, "particle ..."]) -> tuple[Array, Array]:
    """Both as they are. What comes back to `draws` is multiplied by each particle's share of what comes back to `tie`.

    A tie of zeros is added to log w_i, whose cotangent in the importance-weighted bound is w~_i times the same factor
    for all particles: so the shares need no pass of their own.
    """
    return draws, tie


def _share_again_forward(draws: Array, tie: Array):
    return (draws, tie), None


def _share_again_backward(_, cotangents: tuple[Array, Array]) -> tuple[Array, Array]:
    for_draws, for_tie = cotangents
    total = for_tie.sum(axis=0)
    share = for_tie / jnp.where(total == 0, 1.0, total)
    return (for_draws * share).astype(for_draws.dtype), for_tie


_share_again.defvjp(_share_again_forward, _share_again_backward)


def _check_reparametrised(latents: dict[str, dict[str, Any]]) -> None:
    for name, site in latents.items():
        if not site["fn"].has_rsample:
            raise InputError(
                name,
                expected="a reparametrised site, as the gradient of the guide passes through its draws",
                got=type(_innermost(site["fn"])).__name__,
                remedy="train with importance_weighted_elbo, that is NumPyro's RenyiELBO",
            )
    if latents and all(isinstance(_innermost(site["fn"]), Delta) for site in latents.values()):
        raise InputError(
            "guide",
            expected="a site with a density",
            got="point masses only",
            remedy="point estimates are trained with Trace_ELBO",
        )


def _innermost(law: Distribution) -> Distribution:
    while isinstance(base := getattr(law, "base_dist", None), Distribution):
        law = base
    return law
