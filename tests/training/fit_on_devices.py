"""Fits a small diffusion on the devices that there are and scores it: `python -m tests.training.fit_on_devices OUT`.

With a port and the number of this process it is one of two processes that work together.
"""

import sys

import jax
import numpy as np
import optax
from numpyro.infer import SVI

from dpm_ppl import Diffusion, DiffusionELBO, GaussianKernel, LogSNR, bound, fit, noise_prediction
from tests.instances import small
from tests.tiny import flat

NUM_UPDATES, BATCH_SIZE = 50, 16


def fitted() -> dict[str, np.ndarray]:
    """Losses, parameters and moments after some updates, and K of data."""
    diffusion: Diffusion = small(GaussianKernel(noise_prediction), LogSNR(20, 5.0, -4.0))
    data = (0.5 * np.random.default_rng(0).normal(size=(40, 2))).astype(np.float32)
    svi = SVI(diffusion.model, diffusion.guide, optax.adam(1e-2), loss=DiffusionELBO(num_sampled_steps=2))
    how = {"num_updates": NUM_UPDATES, "batch_size": BATCH_SIZE, "key": jax.random.key(0), "evaluate_every": 10}
    result = fit(svi, data, progress=False, **how)
    K = bound(diffusion.with_params(result.params), data, jax.random.key(1)).K
    return {
        "losses": np.array([row["loss"] for row in result.metrics]),
        "params": flat(result.params),
        "moments": flat(result.state.svi_state.optim_state),
        "K": np.asarray(K),
    }


def main(out: str, port: str | None = None, process: str = "0") -> None:
    if port is not None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(process))
    np.savez(out, devices=len(jax.devices()), **fitted())


if __name__ == "__main__":
    main(*sys.argv[1:])
