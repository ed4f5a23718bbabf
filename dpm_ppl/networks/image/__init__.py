"""Networks for images `(H, W)` or `(H, W, C)` of any size: what they show in one place, they may show in any other.

- `UNet` is the one to start with: a residual U-Net, cheap enough for a CPU with `patch=2` and few channels.
- `MultiScaleNetwork` is the paper's: convolutions at several scales, dense layers beside them, a bump readout of time.
- `convolution` has their layer, which is fast under `vmap` and within loops, and `resolution` what changes the size.
"""

from dpm_ppl.networks.image.multiscale import MultiScaleNetwork
from dpm_ppl.networks.image.unet import UNet

__all__ = ["MultiScaleNetwork", "UNet"]
