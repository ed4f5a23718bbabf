"""The words that the pages of `report` and `compare` use, and what they mean."""

from dpm_ppl.likelihood.diagnostics import FEWEST_FOR_VERDICT, MOST_RELIABLE_KHAT

TERMS = {
    "K": "The paper's bound: a lower bound on the log-likelihood, on average over the noise. In bits/dim an upper "
    "bound on the code length. For other methods the ELBO, or the log-likelihood itself where there are neither latent "
    "variables nor dequantisation noise.",
    "full Gaussian": "A Gaussian of full covariance fitted to the same data, as a figure that a model should exceed.",
    "nothing learned": "The bound L_null of the untrained chain, which knows the scale of the data and nothing else.",
    "importance-weighted, S": "The logarithm of the mean of S importance weights: a lower bound on average, which "
    "rises to the log-likelihood with S.",
    "cumulant": "Mean plus half the variance of the log-weights: a second-order estimate of the log-likelihood, which "
    "may lie above or below it.",
    "at least, at most": "Before a bound that may not have reached what it bounds: K alone, or weights that are not "
    "reliable for all data. At least for log-likelihoods, at most for code lengths in bits/dim.",
    "data, with weights": "Every figure of the tables is a mean over all held-out data. Where only some of them have "
    "importance weights, K and the exact value, which all have, carry the result to the others.",
    "gap to exact": "The exact log-likelihood minus the figure, a mean of differences over the same data.",
    "ESS": "Effective sample size: so many equal weights would be worth as much as the weights of a datum.",
    "k-hat": f"Shape of the tail of the weights. Above {MOST_RELIABLE_KHAT}, and for few draws above less than that, "
    "more draws help little.",
    "not reliable": "Share of the data with weights whose estimate is not reliable: the weights are so uneven that the "
    f"standard error may be too small, or there are fewer than {FEWEST_FOR_VERDICT} draws.",
    "±": "One standard error of the mean over data.",
}
