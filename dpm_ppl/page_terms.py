"""The words that the pages of `report` and `compare` use, and what they mean."""

from dpm_ppl.likelihood.diagnostics import FEWEST_FOR_VERDICT, MOST_RELIABLE_KHAT

TERMS = {
    "K": "The paper's bound: a lower bound on the log-likelihood, on average over the noise. In bits/dim an upper "
    "bound on the code length. For other methods the ELBO, or the log-likelihood itself where there are neither latent "
    "variables nor dequantisation noise.",
    "full Gaussian": "A Gaussian of full covariance fitted to the same data, as a figure that a model should exceed.",
    "nothing learned": "The bound L_null of the untrained chain, which knows the scale of the data and nothing else.",
    "importance-weighted, S": "The log-mean of S importance weights: a lower bound on average, which rises to the "
    "log-likelihood with S.",
    "at least, at most": "Before a bound that may not have reached what it bounds: K alone, or weights that are not "
    "reliable for all data. At least for log-likelihoods, at most for code lengths in bits/dim.",
    "data, weighed": "Every figure of the tables is of all held-out data. Where only some were weighed, the others "
    "follow by what is known of both, K and the exact value.",
    "gap to exact": "What a figure lacks to the exact log-likelihood of the same data, paired datum by datum.",
    "ESS": "Effective sample size of the weights of a datum, of its draws.",
    "k-hat": f"Shape of the tail of the weights; above {MOST_RELIABLE_KHAT}, or less for few draws, more draws help "
    "little.",
    "doubtful": "Share of the data whose estimate is not reliable: weights so uneven that its standard error may not "
    f"cover, or fewer than {FEWEST_FOR_VERDICT} draws.",
    "±": "One standard error, over data.",
}
