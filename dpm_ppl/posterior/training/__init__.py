"""Training of a guide that conditions: the observations it is trained for, its lower bound, and the updates."""
