"""Data: sets of them in standardised units, what was done to them, and what they come from."""

from dpm_ppl.data.columns import Column, Table
from dpm_ppl.data.dataset import Dataset, load_array, split
from dpm_ppl.data.remarks import remarks
from dpm_ppl.data.units import Units

__all__ = ["Column", "Dataset", "Table", "Units", "load_array", "remarks", "split"]
