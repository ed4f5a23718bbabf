"""Evidences by quadrature, each without the model that it is to check: NumPy and SciPy in float64 alone."""

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, gammaln, logsumexp

from dpm_ppl.models.posteriors import eightschools, garch, seeds


def trapezoid(low: float, high: float, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Places, and logarithms of their weights; exact to rounding for densities that vanish at both ends."""
    places = np.linspace(low, high, num)
    return places, np.full(num, np.log(places[1] - places[0]))


def ring(num: int = 2000) -> float:
    """In polar coordinates."""
    radius, log_weight = trapezoid(1e-6, 6.0, num)
    log_p = np.log(radius) - np.log(4) - radius**2 / 8 + stats.norm.logpdf(4.0, radius**2, 0.5)
    return logsumexp(log_p + log_weight)


def eight_schools(num: int = 400) -> float:
    """Over mu and log tau; given both, effects are normal with variances tau^2 + error^2."""
    mu, mu_weight = trapezoid(-40, 50, num)
    log_tau, tau_weight = trapezoid(-25, 12, 2 * num)
    tau = np.exp(log_tau)
    spread = np.sqrt(tau[:, None] ** 2 + eightschools.ERRORS**2)
    likelihood = stats.norm.logpdf(eightschools.EFFECTS, mu[:, None, None], spread).sum(axis=-1)
    prior = stats.norm.logpdf(mu, 0, 5)[:, None] + stats.halfcauchy.logpdf(tau, scale=5) + log_tau
    return logsumexp(likelihood + prior + mu_weight[:, None] + tau_weight)


def seeds_given_tau(tau: float, num: int, num_effects: int) -> float:
    """log p(data | tau): Gauss-Hermite over the effect of each plate, and over the coefficients around their mode."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(num_effects)
    log_weights = np.log(weights) - np.log(2 * np.pi) / 2
    total, germinated = seeds.TOTAL, seeds.GERMINATED
    constant = gammaln(total + 1) - gammaln(germinated + 1) - gammaln(total - germinated + 1)

    def log_p(coefficients: np.ndarray) -> np.ndarray:
        """Of many coefficients, `(..., 4)`, with their prior."""
        effects = nodes / np.sqrt(tau)
        # Recentred at the mode of each effect, by Newton's method, where the likelihood is sharper than the prior.
        linear = coefficients @ seeds.DESIGN.T
        mode = np.zeros_like(linear)
        for _ in range(30):
            rate = expit(linear + mode)
            slope = germinated - total * rate - tau * mode
            mode += slope / (total * rate * (1 - rate) + tau)
        rate = expit(linear + mode)
        spread = 1 / np.sqrt(total * rate * (1 - rate) + tau)
        effects = mode[..., None] + spread[..., None] * nodes
        logits = linear[..., None] + effects
        success = germinated[:, None] * logits - total[:, None] * np.logaddexp(0, logits)
        prior = np.log(tau) / 2 - tau * effects**2 / 2 + nodes**2 / 2 + np.log(spread)[..., None]
        of_plates = logsumexp(success + prior + log_weights, axis=-1) + constant
        return of_plates.sum(axis=-1) + stats.norm.logpdf(coefficients, 0, 10).sum(axis=-1)

    return around_mode(log_p, np.zeros(4), num)


def around_mode(log_p, start: np.ndarray, num: int) -> float:
    """Gauss-Hermite over all coordinates, in the units of the Hessian at the mode."""
    size = len(start)
    mode = minimize(lambda x: -log_p(x), start, method="BFGS", options={"gtol": 1e-6}).x
    step = 1e-3
    shifts = step * np.eye(size)
    hessian = np.array(
        [
            [
                (log_p(mode + a + b) - log_p(mode + a - b) - log_p(mode - a + b) + log_p(mode - a - b)) / (4 * step**2)
                for b in shifts
            ]
            for a in shifts
        ]
    )
    factor = np.linalg.cholesky(np.linalg.inv(-hessian))
    nodes, weights = np.polynomial.hermite_e.hermegauss(num)
    grid = np.stack(np.meshgrid(*[nodes] * size, indexing="ij"), axis=-1).reshape(-1, size)
    logs = np.log(weights) + nodes**2 / 2
    log_weight = np.stack(np.meshgrid(*[logs] * size, indexing="ij"), axis=-1).reshape(-1, size).sum(axis=1)
    places = mode + grid @ factor.T
    return logsumexp(log_p(places) + log_weight) + np.log(np.diagonal(factor)).sum()


def seeds_evidence(num_taus: int = 60, num: int = 7, num_effects: int = 15) -> float:
    """Over log tau, in which the density vanishes at both ends."""
    log_tau, weight = trapezoid(-4.0, 9.0, num_taus)
    tau = np.exp(log_tau)
    prior = stats.gamma.logpdf(tau, 0.01, scale=100) + log_tau
    given = np.array([seeds_given_tau(one, num, num_effects) for one in tau])
    return logsumexp(given + prior + weight)


def garch_evidence(sizes: tuple[int, int, int, int] = (11, 14, 24, 16)) -> float:
    """Over mu, the logarithm of the stationary variance, and the logits of persistence and share."""
    (y,) = garch.garch().args
    ends = (-0.35, 0.55), (-1.5, 4.0), (-6.0, 6.0), (-7.0, 7.0)
    axes, weights = zip(*[trapezoid(*pair, size) for pair, size in zip(ends, sizes, strict=True)], strict=True)
    mu, log_variance, a, b = np.meshgrid(*axes, indexing="ij", sparse=True)
    stationary, persistence, share = np.exp(log_variance), expit(a), expit(b)
    omega = stationary * (1 - persistence)
    alpha, beta = persistence * share, persistence * (1 - share)
    variance, log_p = np.broadcast_to(stationary, sizes).copy(), np.zeros(sizes)
    for value in y:
        squared = np.square(value - mu)
        log_p -= (squared / variance + np.log(2 * np.pi * variance)) / 2
        variance = omega + alpha * squared + beta * variance
    log_p = log_p + stats.norm.logpdf(mu) + stats.halfnorm.logpdf(omega) + np.log(omega)
    log_p = log_p + stats.beta.logpdf(persistence, 4, 2) + np.log(persistence * (1 - persistence))
    log_p = log_p + stats.beta.logpdf(share, 2, 2) + np.log(share * (1 - share))
    log_p = log_p + sum(np.meshgrid(*weights, indexing="ij", sparse=True))
    return logsumexp(log_p)
