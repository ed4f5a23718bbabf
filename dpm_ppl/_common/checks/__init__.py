"""What users bring, as the code behind it wants it: arrays, keys, numbers and names of any origin.

Everything public passes its arguments through here, so that whatever NumPy, JAX, pandas or xarray call a number, an
array or a name is one, and the rest is refused in one line that says what was expected, what came and what to do.
"""

from dpm_ppl._common.checks.arrays import (
    as_jax_holds,
    check_event_shape,
    check_exact,
    check_finite,
    check_shape,
    finite_array,
    is_traced,
    real_array,
    short,
)
from dpm_ppl._common.checks.choices import (
    check_devices,
    check_installed,
    check_key,
    check_kind,
    check_known,
    check_names,
    check_some,
    named,
    one_of,
)
from dpm_ppl._common.checks.numbers import (
    check_sizes,
    event_sizes,
    number_in,
    real_number,
    whole_number,
)

__all__ = [
    "as_jax_holds",
    "check_devices",
    "check_event_shape",
    "check_exact",
    "check_finite",
    "check_installed",
    "check_key",
    "check_kind",
    "check_known",
    "check_names",
    "check_shape",
    "check_sizes",
    "check_some",
    "event_sizes",
    "finite_array",
    "is_traced",
    "named",
    "number_in",
    "one_of",
    "real_array",
    "real_number",
    "short",
    "whole_number",
]
