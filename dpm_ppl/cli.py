"""The command line: `dpm-ppl list | fit | bounds | sample | report | compare | demo`.

Errors of use are one line and exit code 2.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from dpm_ppl._errors import InputError, TrainingError

app = tyro.extras.SubcommandApp()
Name = Annotated[str, tyro.conf.Positional]
Directory = Annotated[Path, tyro.conf.Positional]
INTERRUPTED = 130


@app.command(name="list")
def list_experiments(*, json: bool = False) -> None:
    """Describe the experiments and their options.

    Args:
        json: Print one JSON object.
    """
    from dpm_ppl.models import EXPERIMENTS
    from dpm_ppl.reporting import print_json
    from dpm_ppl.runs import flag, options_of

    described = {
        name: {"description": _first_line(function), "options": list(options_of(function))}
        for name, function in EXPERIMENTS.items()
    }
    if json:
        print_json(described)
        return
    for name, description in described.items():
        print(f"{name:10} {description['description']}\n{'':10} {' '.join(map(flag, description['options']))}")


@app.command
def fit(
    experiment: Name,
    *,
    out: Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    updates: int | None = None,
    method: str | None = None,
    variant: str | None = None,
    edge: str | None = None,
    num_steps: int | None = None,
    noise: float | None = None,
    pi: float | None = None,
    data: Path | None = None,
    kernel: str | None = None,
    levels: int | None = None,
    json: bool = False,
) -> None:
    """Fit an experiment in a run directory, print its held-out bound and draw its picture.

    Args:
        experiment: digits, swissroll, heartbeat, or array for data of your own.
        out: Run directory; runs/EXPERIMENT if not given.
        resume: Go on with the run in that directory, bit for bit; other options may be left out.
        seed: Of the data or which are held out, the initial network, and the training; 0 if not given.
        updates: Updates of the optimiser; the experiment's own number if not given.
        method: "diffusion" if not given; or "vae", "iwae", "hvae", "flow", "mixture" or "gaussian".
        variant: "default", or "paper" for the paper's own configuration.
        edge: "fixed" (the paper's last step) or "learned".
        num_steps: T, the steps of the diffusion.
        noise: Noise around the swiss roll.
        pi: Stationary rate of bits.
        data: The .npy file of "array".
        kernel: "gaussian" or "bernoulli", for "array".
        levels: Number of levels of "array" data, if they are whole numbers.
        json: Print one JSON object.
    """
    from dpm_ppl import reporting, runs
    from dpm_ppl.demo import draw_picture
    from dpm_ppl.models import EXPERIMENTS

    options = {
        "method": method,
        "variant": variant,
        "edge": edge,
        "num_steps": num_steps,
        "noise": noise,
        "pi": pi,
        "data": None if data is None else str(data.resolve()),
        "kernel": kernel,
        "levels": levels,
    }
    given = {name: value for name, value in options.items() if value is not None}
    path = out or Path("runs") / experiment
    if resume:
        run = runs.open_run(path, "--out")
        runs.check_continues(run, experiment=experiment, seed=seed, updates=updates, **given)
        declared = run.declare(EXPERIMENTS)
    else:
        declared = runs.declare(EXPERIMENTS, experiment, given, seed or 0)
        num_updates = declared.num_updates if updates is None else updates
        run = runs.create(path, declared, num_updates=num_updates)
    result = runs.fit(run, declared, resume=resume)
    if result.interrupted:
        print(f"interrupted; continue with: dpm-ppl fit {experiment} --out {path} --resume", file=sys.stderr)
        raise SystemExit(INTERRUPTED)
    trained = declared.method.with_params(result.params)
    reporting.report_scores(run, declared, trained, json)
    picture = draw_picture(run, declared, trained)
    if picture is not None:
        print(f"picture: {picture}", file=sys.stderr)


@app.command
def bounds(
    run: Directory,
    *,
    num_draws: int | None = None,
    num_particles: int | None = None,
    num_points: int | None = None,
    proposal: str | None = None,
    sandwich: bool = False,
    json: bool = False,
) -> None:
    """Print the held-out bound of a run, with L_null and, where it is known, the exact log-likelihood.

    With particles, the importance-weighted log-likelihood too. What they cost is kept in RUN/likelihood: the same
    command again goes on where it was stopped, and more particles are added to those there are.

    Args:
        run: A run directory.
        num_draws: Draws of noise per datum for K; the experiment's own number if not given.
        num_particles: Importance-weighted estimates from so many particles per datum; a power of two makes the most of
            them, and what an earlier call has drawn beyond them stays.
        num_points: Held-out data that they look at; 100 if not given.
        proposal: How particles of a diffusion are drawn: "trajectories", "antithetic", "stratified" or "smc".
        sandwich: Bounds from both sides on as many data simulated from the model.
        json: Print one JSON object.
    """
    from dpm_ppl import reporting, runs, weighing
    from dpm_ppl.models import EXPERIMENTS

    for flag, number in (("--num-draws", num_draws), ("--num-particles", num_particles), ("--num-points", num_points)):
        if number is not None:
            runs.check_range(flag, number, 1)
    if num_particles is None and (num_points is not None or sandwich or proposal is not None):
        raise InputError(
            "--num-particles",
            expected="a number of particles, which --num-points, --proposal and --sandwich need",
            got="none",
            remedy="for example --num-particles 1000",
        )
    opened = runs.open_run(run)
    experiment = opened.declare(EXPERIMENTS)
    trained = runs.trained(opened, experiment)
    if num_particles is None:
        reporting.report_scores(opened, experiment, trained, json, num_draws)
        return
    how = weighing.check_weighing(experiment, trained, num_points, proposal)

    def weigh(scores: Any) -> dict[str, Any]:
        return reporting.report_weights(opened, experiment, trained, scores, json, sandwich, num_particles, *how)

    facts = reporting.report_scores(opened, experiment, trained, json, num_draws, weigh)
    if facts["interrupted"]:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(INTERRUPTED)


@app.command
def sample(
    run: Directory, *, num_samples: int = 100, out: Path | None = None, seed: int = 0, json: bool = False
) -> None:
    """Draw from the model of a run, in the units of its data, into a .npy file.

    Args:
        run: A run directory.
        num_samples: Number of draws.
        out: The file; samples.npy in the run directory if not given.
        seed: Seed of the draws.
        json: Print one JSON object.
    """
    import jax
    import numpy as np

    from dpm_ppl import runs
    from dpm_ppl.models import EXPERIMENTS
    from dpm_ppl.programs import sample_from
    from dpm_ppl.reporting import print_json

    runs.check_range("--num-samples", num_samples, 1)
    runs.check_range("--seed", seed, 0, runs.LAST_SEED)
    opened = runs.open_run(run)
    target = out or run / "samples.npy"
    if target.suffix != ".npy" or target.is_dir() or not target.parent.is_dir():
        raise InputError(
            "--out",
            expected="a .npy file in a directory that exists",
            got=target,
            remedy="leave it out for samples.npy in the run directory",
        )
    experiment = opened.declare(EXPERIMENTS)
    trained = runs.trained(opened, experiment)
    values = experiment.heldout.units.as_given(np.asarray(sample_from(trained, jax.random.key(seed), num_samples)))
    np.save(target, values, allow_pickle=False)
    facts = {"experiment": opened.experiment, "file": str(target), "shape": list(values.shape)}
    if json:
        print_json(facts)
    else:
        print(f"{target}: {num_samples:,} draws of {opened.experiment}, shape {tuple(values.shape)}")


@app.command
def report(
    run: Directory,
    *,
    num_particles: int = 512,
    num_points: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Write one page about a run: figures, verdicts, pictures, configuration; and all that was measured as a tree.

    Args:
        run: A run directory.
        num_particles: Particles per datum; what earlier calls have drawn is used again.
        num_points: Held-out data that they look at; 100 if not given.
        out: The page; RUN/report.html if not given. The tree stands beside it as a .nc file.
        json: Print one JSON object.
    """
    from dpm_ppl.reporting import print_json, print_tables
    from dpm_ppl.writing import write_report

    page, tree, compared = write_report(run, out or run / "report.html", num_particles, num_points)
    if json:
        print_json({"page": str(page), "tree": str(tree), **compared.as_json()})
        return
    print_tables(compared, compared.tables()[:2])
    print(f"page: {page}\ntree: {tree}")


@app.command
def compare(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    *,
    experiment: str | None = None,
    methods: tuple[str, ...] = (),
    noise: float | None = None,
    data: Path | None = None,
    kernel: str | None = None,
    levels: int | None = None,
    updates: int | None = None,
    seed: int | None = None,
    num_particles: int = 512,
    num_points: int | None = None,
    sandwich: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Compare runs on the same data: one table, paired differences, verdicts, and a page.

    With --experiment, the methods that the runs do not have are fitted first, each in its directory below OUT; the
    same command again goes on where it was stopped.

    Args:
        runs: Run directories.
        experiment: Fit the other methods on the data of digits, swissroll, heartbeat or array.
        methods: Which ones; all that can model such data if not given.
        noise: Noise around the swiss roll.
        data: The .npy file of "array".
        kernel: "gaussian" or "bernoulli", for "array".
        levels: Number of levels of "array" data, if they are whole numbers.
        updates: Updates of each fit; each method's own number if not given.
        seed: Seed of the fits and their data; that of the runs if not given, or 0.
        num_particles: Particles per datum; what earlier calls have drawn is used again.
        num_points: Held-out data that they look at; 100 if not given.
        sandwich: Bounds from both sides on data simulated from each model too.
        out: Directory of the page compare.html and of the fits; runs/compare-EXPERIMENT if not given.
        json: Print one JSON object.
    """
    from dpm_ppl.reporting import print_json, print_tables
    from dpm_ppl.runs import check_range
    from dpm_ppl.writing import write_comparison

    given = {"noise": noise, "data": None if data is None else str(data.resolve()), "kernel": kernel, "levels": levels}
    options = {name: value for name, value in given.items() if value is not None}
    for flag, number in (("--num-particles", num_particles), ("--num-points", num_points), ("--updates", updates)):
        if number is not None:
            check_range(flag, number, 1)
    if experiment is None and (methods or options or updates is not None or seed is not None):
        raise InputError(
            "--experiment",
            expected="an experiment, which --methods, --updates, --seed and options of data need",
            got="none",
            remedy="name one, or leave them out",
        )
    page, compared = write_comparison(
        runs, out, experiment, methods, options, updates, seed, num_particles, num_points, sandwich
    )
    if json:
        print_json({"page": str(page), **compared.as_json()})
        return
    print_tables(compared, compared.tables())
    print(f"page: {page}")


@app.command
def demo(*, out: Path = Path("runs/demo"), json: bool = False) -> None:
    """Fit the digits and the swiss roll in small, print one table and write the pictures.

    Args:
        out: Directory for the two runs; what is there from an earlier demo is continued.
        json: Print one JSON object.
    """
    from dpm_ppl.demo import run_demo
    from dpm_ppl.reporting import print_json

    run_demo(out, print_json if json else None)


def main() -> None:
    """Entry point of `dpm-ppl`."""
    try:
        app.cli(prog="dpm-ppl", description="Diffusion probabilistic models as NumPyro programs.")
    except InputError as error:
        _fail(error, 2)
    except TrainingError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _first_line(function: Callable) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def _fail(error: Exception | str, code: int) -> None:
    print(f"dpm-ppl: {error}", file=sys.stderr)
    raise SystemExit(code)
