"""The work of `dpm-ppl posterior`: what was observed, how it is conditioned on, and what is kept of it meanwhile."""
