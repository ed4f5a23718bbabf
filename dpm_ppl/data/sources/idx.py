"""The IDX format of MNIST: a magic number, the sizes of the axes, then the bytes (LeCun et al. 1998)."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from dpm_ppl._common.errors import InputError

GZIPPED = b"\x1f\x8b"
UNSIGNED_BYTES = 0x08


def read_idx(path: str | Path, argument: str = "path") -> np.ndarray:
    """The array of unsigned bytes in an IDX file, gzipped or not, whatever its name.

    **Raises:** `InputError` that names `argument` where there is no such file, or it is truncated, damaged or another.
    """
    path = Path(path)

    def refusal(got: object) -> InputError:
        remedy = "download it again, or copy it from where it is whole"
        return InputError(argument, expected="a whole IDX file of unsigned bytes", got=f"{path}, {got}", remedy=remedy)

    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIPPED) else content
    except (OSError, EOFError, zlib.error) as error:  # OSError is that of gzip's checksum, too
        raise refusal(f"which does not read ({error})") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise refusal("which does not begin as one")
    kind, num_axes = content[2:4]
    if kind != UNSIGNED_BYTES:
        raise refusal(f"whose values are of type {kind:#04x}, not 0x08")
    start = 4 + 4 * num_axes
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4")) if len(content) >= start else ()
    if len(shape) != num_axes or not shape:
        raise refusal("which ends before its sizes are told")
    if len(content) - start != math.prod(shape):
        raise refusal(f"with {len(content) - start:,} values where its shape {shape} has {math.prod(shape):,}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
