"""The types of arrays: shape and meaning of each, written once; every other module takes its words from here.

`event` is the shape of one datum, `batch` whatever stands before it; `datum` and `step` are the axes of results.
"""

from jaxtyping import Array, Float, Int, Key, Num, UInt32

PRNGKey = Key[Array, ""] | UInt32[Array, "2"]

Values = Num[Array, "*shape"]  # coordinates of any shape: kernels act on each by itself
Uniforms = Float[Array, "*shape"]  # numbers strictly between 0 and 1, one for each of them
Outputs = Float[Array, "*shape outputs"]  # what a network says about each of them
Datum = Num[Array, "*event"]
Batch = Num[Array, "..."]  # data or paths, the event axes behind any batch axes
Cost = Float[Array, "..."]  # nats, one number for each element of the batch

PerDatum = Float[Array, " datum"]
PerDatumStep = Float[Array, "datum step"]
PerStep = Float[Array, " step"]

__all__ = [
    "Array",
    "Batch",
    "Cost",
    "Datum",
    "Float",
    "Int",
    "Outputs",
    "PRNGKey",
    "PerDatum",
    "PerDatumStep",
    "PerStep",
    "Uniforms",
    "Values",
]
