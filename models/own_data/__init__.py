"""A user's own data, as the experiment `array` reads, describes and models them."""

from dpm_ppl._common.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
