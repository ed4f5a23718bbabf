"""The commands of `dpm-ppl`, one a file: what each takes from a user, and which work it calls."""
