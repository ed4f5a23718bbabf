"""The work of `dpm-ppl paper`: its rows made, each in a run directory, and the page that holds them together."""
