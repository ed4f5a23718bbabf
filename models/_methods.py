"""An experiment of the zoo with another variational method in place of its diffusion."""

from dataclasses import replace

from dpm_ppl._common.errors import InputError
from dpm_ppl.experiments.experiment import DIFFUSION, OF_THE_DIFFUSION, Experiment
from dpm_ppl.models._parts import chosen
from dpm_ppl.models.methods import METHODS


def with_method(experiment: Experiment, method: str) -> Experiment:
    """The same data, exact value and protocol of scoring; model, guide, objective and training are the method's own.

    **Raises:** `InputError` for a method that is unknown, or cannot model data of this kind.
    """
    recorded = {"method": method, **experiment.options}
    build = chosen("method", method, {DIFFUSION: None, **METHODS})
    if build is None:
        return replace(experiment, options=recorded)
    try:
        recipe = build(experiment.train, experiment.seed)
    except InputError as error:
        raise InputError(
            "method", expected=f"for {method}, {error.expected}", got=error.got, remedy=error.remedy
        ) from error
    return replace(
        experiment,
        options={name: value for name, value in recorded.items() if name not in OF_THE_DIFFUSION},
        method=recipe.program,
        objective=recipe.objective,
        optimiser=recipe.optimiser,
        num_updates=recipe.num_updates,
        batch_size=min(recipe.batch_size, experiment.train.num_points),
        averaging=recipe.averaging,
    )
