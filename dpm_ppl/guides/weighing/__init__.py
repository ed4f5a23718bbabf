"""What draws of a guide weigh, and what these weights say. Come here from `evidence`, which puts the parts together.

- `pair`: a model and a guide with their arguments, and what one draw weighs; `refusals`: which pairs are refused.
- `reference`: what draws of the posterior from elsewhere weigh; `forward`: what these weights say of a guide.
- `result`: what the weights of the guide's own draws say, and the verdict.
"""
