"""`log_likelihood`: importance-weighted log-likelihoods, in chunks of data, draws and steps that bound the memory."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dpm_ppl._common.checks import check_devices, check_key, check_kind, check_known, check_sizes, whole_number
from dpm_ppl._common.chunks import chunk_like, chunk_size
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.files import check_folder_of
from dpm_ppl._common.interruption import interruptible
from dpm_ppl._common.memory import peak_bytes, sizes_within_budget
from dpm_ppl._common.progress import count_display
from dpm_ppl._common.types import Array, Batch, PRNGKey
from dpm_ppl.likelihood.fingerprint import computation, fingerprint
from dpm_ppl.likelihood.proposals import PROPOSALS, AbstractProposal, check_proposal, default_proposal
from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.likelihood.running import MOST_DRAWS, RunningWeights
from dpm_ppl.likelihood.saved import read_weights, write_weights
from dpm_ppl.methods.base import AbstractMethod, check_method, check_scored

type Draw = Callable[..., Any]
_MOST_STEPS, _MOST_PARTICLES, _MOST_DATA = 20, 64, 16
_SECONDS_BETWEEN_SAVES = 20.0


def log_likelihood(
    method: AbstractMethod,
    x_0: Batch | np.ndarray,
    key: PRNGKey,
    num_particles: int = 1000,
    *,
    proposal: AbstractProposal | None = None,
    draw: Draw | None = None,
    particles_chunk: int | None = None,
    data_chunk: int | None = None,
    steps_chunk: int | None = None,
    devices: Sequence[Any] | None = None,
    keep_log_weights: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> LogLikelihood:
    """log p(x_0) of every datum as the log-mean of importance weights of forward trajectories, in nats.

    A lower bound in expectation, unbiased for p(x_0) itself, and as S grows the log-likelihood (Burda, Grosse and
    Salakhutdinov 2016, theorem 1; paper, eq. 9). Particle i of datum n is the same whatever the chunks are and however
    many more are drawn. Ctrl-C ends it after the chunk at hand, with what has been drawn by then as the result.

    **Arguments:**

    - `x_0`: standardised data, `(datum, *event_shape)`.
    - `num_particles`: S, trajectories per datum; rounded up to whole draws of the proposal.
    - `proposal`: how particles are drawn; `Trajectories()` if not given, and for a `Program` its guide.
    - `draw`: makes the data of a draw from `x_0`, `(data (num, *event), key)`, for instance by adding dequantisation
      noise. The figure is then the log-likelihood with that noise integrated out.
    - `particles_chunk`, `data_chunk`, `steps_chunk`: how many of each the network sees side by side; by default at most
      64, 16 and 20, and fewer where the memory budget says so: first steps, then particles, then data. Memory depends
      on their product, and on the number of data by about 20 KB for each; not on S or T.
    - `devices`: share the data of each chunk out over these JAX devices.
    - `keep_log_weights`: return the log-weights as well, `(datum, draw)`: memory then grows with S.
    - `checkpoint`: a file that keeps the sums. Where it exists its particles are not drawn again, so an interrupted
      call can be finished and a finished one extended; saved every 20 seconds, on Ctrl-C and at the end. Asked for
      fewer than it has, it gives what it has. It belongs to what is computed, as JAX traces it, and to the data.

    **Raises:** `InputError` for data, sizes or a proposal that do not fit, and for a checkpoint of something else or
    of a method that calls back to Python.
    """
    check_method(method)
    if proposal is None:
        proposal = PROPOSALS[default_proposal(method)]
    num_particles, *given = check_sizes(
        num_particles=num_particles, steps_chunk=steps_chunk, particles_chunk=particles_chunk, data_chunk=data_chunk
    )
    check_known(method=method, x_0=x_0, key=key)
    key, x_0 = check_key(key), check_scored(method, x_0)
    _check(method, proposal, keep_log_weights, checkpoint)
    num_draws = -(-num_particles // proposal.num_particles)
    expected = f"at most {MOST_DRAWS:,} draws"
    whole_number("num_particles", num_draws, most=MOST_DRAWS, expected=expected, remedy="use fewer")
    # What is kept stands in chunks of so many data, whatever number of them is looked at side by side.
    chunks = _Chunks(np.asarray(x_0), data_chunk or _MOST_DATA, check_devices(devices))
    parts = (method, proposal, draw)
    program, identity = ("", "") if checkpoint is None else _identity(parts, chunks.x_0, key, chunks.size)
    seed = int(np.ravel(jax.random.key_data(key))[-1])
    kept = read_weights(checkpoint, identity, seed, len(chunks)) or [
        RunningWeights(len(index), seed) for index in chunks.indices
    ]
    log_weights: list[list[np.ndarray]] = [[] for _ in kept]
    todo = sum(max(num_draws - weights.num_draws, 0) * weights.num_data for weights in kept)
    how = _side_by_side(parts, chunks, key, num_draws, given, program)
    done, next_save = 0, time.monotonic() + _SECONDS_BETWEEN_SAVES
    total = todo * proposal.num_particles
    if chunks.sharding is not None:
        everywhere = NamedSharding(chunks.sharding.mesh, PartitionSpec())
        method, key = eqx.filter_shard((method, key), everywhere)
    with interruptible("particles") as stop, count_display(progress, "particles", total) as show:
        for place, first, num in _schedule(kept, num_draws, how.draws):
            if kept[place].num_draws == 0:
                kept[place].jumps = method.hidden_states(*chunks[place], key, steps_chunk)[: kept[place].num_data]
            values = _log_weights(method, proposal, draw, *chunks[place], key, jnp.asarray(first), *how, program)
            values = np.asarray(values, np.float64)[: kept[place].num_data, :num]
            kept[place].add(values)
            if keep_log_weights:
                log_weights[place].append(values)
            done += values.size * proposal.num_particles
            show(done)
            if checkpoint is not None and time.monotonic() > next_save:
                began = time.monotonic()
                write_weights(checkpoint, identity, kept)
                ended = time.monotonic()
                next_save = ended + max(_SECONDS_BETWEEN_SAVES, 10 * (ended - began))
            if stop():
                break
        if checkpoint is not None and todo:
            write_weights(checkpoint, identity, kept)
    interrupted = any(weights.num_draws < num_draws for weights in kept)
    all_kept = _joined(log_weights, kept) if keep_log_weights else None
    exact = draw is None and method.is_exact(chunks.x_0.dtype)
    return LogLikelihood.of(kept, proposal.num_particles, exact=exact, interrupted=interrupted, log_weights=all_kept)


@eqx.filter_jit
def _log_weights(
    method: AbstractMethod,
    proposal: AbstractProposal,
    draw: Draw | None,
    x_0: Array,
    number: Array,
    key: PRNGKey,
    first: Array,
    steps_chunk: int,
    num_draws: int,
    data_chunk: int,
    program: str,
) -> Array:
    """Log-weights `(datum, draw)` of draws `first`, `first + 1` ... of the data with these numbers.

    Another `program`, as where a global has changed that the method reads, is compiled anew.
    """

    def of_datum(pair: tuple[Array, Array]) -> Array:
        datum, number = pair

        def of_draw(index: Array) -> Array:
            return _log_weight(method, proposal, draw, datum, jax.random.fold_in(key, number), index, steps_chunk)

        return jax.vmap(of_draw)(first + jnp.arange(num_draws))

    if data_chunk < len(x_0):
        return jax.lax.map(of_datum, (x_0, number), batch_size=data_chunk)
    return jax.vmap(of_datum)((x_0, number))


class _SideBySide(NamedTuple):
    """How many of each the network sees at one time."""

    steps: int
    draws: int
    data: int


def _side_by_side(
    parts: tuple[AbstractMethod, AbstractProposal, Draw | None],
    chunks: "_Chunks",
    key: PRNGKey,
    num_draws: int,
    given: list[int | None],
    program: str,
) -> _SideBySide:
    """By what is `given` of steps, particles and data, and else within the budget.

    Steps give way first: the sequential work grows the least with fewer of them, and the kept sums do not know them.
    """
    num_particles = parts[1].num_particles

    def sizes(steps: int, particles: int, data: int) -> _SideBySide:
        return _SideBySide(steps, min(max(particles // num_particles, 1), num_draws), min(data, chunks.size))

    def bytes_of(*wanted: int) -> int:
        number, x_0 = chunk_like(chunks.size, chunks.x_0)
        return peak_bytes(_log_weights, *parts, x_0, number, key, jnp.asarray(0), *sizes(*wanted), program)

    defaults = _MOST_STEPS, _MOST_PARTICLES, _MOST_DATA
    return sizes(*sizes_within_budget(bytes_of, *zip(given, defaults, strict=True)))


def _log_weight(
    method: AbstractMethod,
    proposal: AbstractProposal,
    draw: Draw | None,
    datum: Array,
    datum_key: PRNGKey,
    index: Array,
    steps_chunk: int | None,
) -> Array:
    """The log-weight of draw number `index` of a datum."""
    draw_key = jax.random.fold_in(datum_key, index)
    if draw is not None:
        datum = draw(datum[None], jax.random.fold_in(draw_key, 0))[0]
    return proposal.log_weight(method, datum, draw_key, steps_chunk=steps_chunk)


def _identity(parts: tuple, x_0: np.ndarray, key: PRNGKey, data_chunk: int) -> tuple[str, str]:
    """Digests of how a weight is computed by method, proposal and `draw`, and of that with all it is computed from."""

    def compute(parts: tuple, datum: Array, datum_key: PRNGKey, index: Array) -> Array:
        method, proposal, draw = parts
        return _log_weight(method, proposal, draw, datum, datum_key, index, None)

    program = computation(compute, parts, jnp.asarray(x_0[0]), key, jnp.asarray(0))
    return program, fingerprint(program, jax.tree.leaves(eqx.filter(parts, eqx.is_array)), x_0, key, data_chunk)


class _Chunks:
    """The data in chunks of one shape, each with the numbers of its data, shared out over devices if there are any."""

    def __init__(self, x_0: np.ndarray, data_chunk: int, devices: Sequence[Any] | None):
        self.x_0 = x_0
        num_devices = len(devices) if devices else 1
        size = chunk_size(len(x_0), data_chunk)
        self.size = -(-size // num_devices) * num_devices
        self.indices = [np.arange(start, min(start + self.size, len(x_0))) for start in range(0, len(x_0), self.size)]
        self.sharding = NamedSharding(Mesh(np.array(devices), "data"), PartitionSpec("data")) if devices else None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> tuple[jax.Array, jax.Array]:
        index = np.resize(self.indices[place], self.size)  # the last one is filled up, so that one shape is compiled
        data, number = self.x_0[index], index.astype(np.int32)
        if self.sharding is None:
            return jnp.asarray(data), jnp.asarray(number)
        return jax.device_put(data, self.sharding), jax.device_put(number, self.sharding)


def _schedule(kept: list[RunningWeights], num_draws: int, draws_chunk: int) -> Iterator[tuple[int, int, int]]:
    """Chunk of data, first draw and number of draws: all data get their first draws before any gets its next."""
    for start in range(0, num_draws, draws_chunk):
        end = min(start + draws_chunk, num_draws)
        for place, weights in enumerate(kept):
            if weights.num_draws < end:
                first = weights.num_draws
                yield place, first, min(end - first, draws_chunk)


def _joined(log_weights: list[list[np.ndarray]], kept: list[RunningWeights]) -> np.ndarray:
    """The draws of all data, `(datum, draw)`, with NaN where an interruption left none."""
    joined = np.full((sum(one.num_data for one in kept), max(one.num_draws for one in kept)), np.nan)
    start = 0
    for blocks, one in zip(log_weights, kept, strict=True):
        joined[start : start + one.num_data, : one.num_draws] = np.hstack([np.empty((one.num_data, 0)), *blocks])
        start += one.num_data
    return joined


def _check(
    method: AbstractMethod,
    proposal: Any,
    keep_log_weights: bool,
    checkpoint: str | os.PathLike[str] | None,
) -> None:
    remedy = "for example Trajectories(), Trajectories(antithetic_noise, 2) or SequentialMonteCarlo(64)"
    check_kind("proposal", proposal, AbstractProposal, expected="a way to draw particles", remedy=remedy)
    check_proposal(proposal, method)
    if keep_log_weights and checkpoint is not None:
        raise InputError(
            "keep_log_weights",
            expected="False with a checkpoint, which keeps sums and not the weights",
            got="True",
            remedy="leave out one of them",
        )
    if checkpoint is not None:
        check_folder_of(checkpoint, "checkpoint")
