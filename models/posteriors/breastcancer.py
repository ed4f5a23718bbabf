"""`breast_cancer`: logistic regression of a diagnosis on thirty measurements of cell nuclei."""

import numpy as np
import numpyro
import numpyro.distributions as dist

from dpm_ppl.estimates import Estimate
from dpm_ppl.models.posteriors._target import Data, Target


def breast_cancer() -> Target:
    """Standardised covariates and an intercept, all coefficients N(0, 1); 569 cases of Wolberg, Street and Mangasarian.

    The data come with scikit-learn.
    """
    from sklearn.datasets import load_breast_cancer

    covariates, benign = load_breast_cancer(return_X_y=True)
    standardised = (covariates - covariates.mean(axis=0)) / covariates.std(axis=0)
    design = np.concatenate([np.ones((len(benign), 1)), standardised], axis=1)

    def model(design: Data, benign: Data) -> None:
        coefficients = numpyro.sample("coefficients", dist.Normal().expand([design.shape[1]]).to_event(1))
        logits = design @ coefficients
        with numpyro.plate("case", len(design)):
            numpyro.sample("benign", dist.Bernoulli(logits=logits), obs=benign)

    return Target(
        name="breast_cancer",
        model=model,
        args=(design, benign),
        log_evidence=Estimate(-55.222, 0.005, 1),
        obtained="bridge sampling, python -m benchmarks.posterior_evidences breast_cancer",
        source="Street, Wolberg and Mangasarian (1993), Nuclear feature extraction for breast tumor diagnosis",
    )
