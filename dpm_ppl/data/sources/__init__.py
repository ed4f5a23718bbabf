"""Images: from files of known data sets, from pictures of one's own, and from a generator.

Come here for data that are not arrays yet.

- `mnist`, `fashion_mnist` and `cifar10` read the files of a folder, or download them once and check their digests.
- `patches` cuts squares out of a folder of pictures, `dead_leaves` draws images of discs that hide one another.
- `read_idx` and `read_cifar` read single files.

All give 8-bit levels, `(image, height, width)` or `(image, height, width, 3)`. Nothing is ever unpickled.
"""

from dpm_ppl._common.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
