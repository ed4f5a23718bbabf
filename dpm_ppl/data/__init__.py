"""Data, and what was done to them before a model saw them. Come here with a table, images or bits of your own.

- `Dataset.from_continuous`, `from_levels`, `from_binary` and `from_table` make standardised data of arrays and tables.
- `split` parts an array for training and evaluation, `load_array` reads one from a file, `remarks` says what is odd.
- `flipped` and `binarised` make training data that every batch changes at random; `sources` reads and draws images.
- `Units`, which every `Dataset` has, converts values and log-densities back to those of the data as they were given.
- `Table` and `Column` say what the columns of a table are.
"""

from dpm_ppl.data.columns import Column, Table
from dpm_ppl.data.dataset import Dataset, load_array, split
from dpm_ppl.data.redrawn import Redrawn, binarised, flipped
from dpm_ppl.data.remarks import remarks
from dpm_ppl.data.units import Units

__all__ = ["Column", "Dataset", "Redrawn", "Table", "Units", "binarised", "flipped", "load_array", "remarks", "split"]
