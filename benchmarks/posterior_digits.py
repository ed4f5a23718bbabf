"""Evidence of right and wrong models of how digits were observed: `python -m benchmarks.posterior_digits RUN`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from dpm_ppl._common.progress import count_display
from dpm_ppl.app.opened import open_trained
from dpm_ppl.app.posteriors.conditioning import diffusion_of
from dpm_ppl.app.posteriors.observing import Noise
from dpm_ppl.posterior import SMC, Posterior, condition

WRONG = "noise of twice the deviation", "the picture upside down"


@dataclass(frozen=True)
class Options:
    """Held-out digits with as much noise as signal, under the model that made them and under wrong ones."""

    run: tyro.conf.Positional[Path]
    """A directory of `dpm-ppl fit digits`."""
    num_steps: int | None = None
    """Of the chain that are gone down, evenly spread; all if not given."""
    num_digits: int = 50
    """The first ones that were held out."""
    num_particles: int = 64
    """Of sequential Monte Carlo."""
    seed: int = 0
    """Of the noise and the particles."""


def main(options: Options) -> None:
    opened = open_trained(options.run).on_steps(options.num_steps)
    diffusion, heldout = diffusion_of(opened), opened.experiment.task.heldout
    units, rng = heldout.units, np.random.default_rng(options.seed)
    levels = units.as_given(np.asarray(heldout.values[: options.num_digits]))
    sigma = float(levels.std(axis=0).mean())
    observed = levels + sigma * rng.standard_normal(levels.shape)
    method = SMC(options.num_particles)

    def given(y: np.ndarray, sigma: float, number: int) -> Posterior:
        seen = Noise("gaussian", sigma).of(diffusion, y, units)
        return condition(diffusion, seen, y, key=jax.random.key(options.seed + number), method=method, units=units)

    found: list[tuple[Posterior, ...]] = []
    with count_display(True, "digits", len(observed)) as show:
        for number, y in enumerate(observed):
            found.append((given(y, sigma, number), given(y, 2 * sigma, number), given(y[::-1], sigma, number)))
            show(len(found))
    log_z = np.array([[one.log_evidence.mean for one in digit if one.log_evidence] for digit in found])
    verdicts = [digit[0].verdict for digit in found]
    setting = f"noise of {sigma:.2f} levels, {options.num_particles} particles, T = {diffusion.num_steps}"
    print(f"{len(observed)} digits, {setting}")
    for name, column in zip(WRONG, log_z.T[1:], strict=True):
        apart = log_z[:, 0] - column
        middle, low = np.median(apart), apart.min()
        print(f"right over {name}: {(apart > 0).mean():.0%} of the digits, median {middle:.1f} nats, least {low:.1f}")
    errors = [digit[0].log_evidence.se for digit in found if digit[0].log_evidence]
    print(f"median error of log evidence {np.median(errors):.2f} nats")
    print(", ".join(f"{name}: {verdicts.count(name)}" for name in sorted(set(verdicts))))
    before = np.sqrt(((observed - levels) ** 2).mean())
    after = np.sqrt(np.mean([(digit[0].mean() - level) ** 2 for digit, level in zip(found, levels, strict=True)]))
    print(f"root mean square error {before:.2f} levels as observed, {after:.2f} of the posterior mean")


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
