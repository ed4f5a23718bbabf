"""Dead leaves: discs of many sizes that fall on one another, seen from above (Matheron 1968; Lee, Mumford, Huang 2001).

The law of the radii, p(r) proportional to r^-3 between two ends, makes the images look alike at every scale in between,
as photographs are. A patch is drawn exactly, without the rest of the plane: the discs that can touch it are drawn from
the top leaf downwards, and a pixel has the grey of the first one that covers it (Kendall and Thönnes 1999).
"""

import numpy as np

from dpm_ppl._common.checks import check_sizes, number_in
from dpm_ppl._common.errors import InputError

NUM_LEVELS = 256
LEAVES_AT_A_TIME = 32
PIXELS_AT_A_TIME = 2**17


def dead_leaves(
    num_images: int,
    size: int,
    *,
    least_radius: float = 1.0,
    most_radius: float = 64.0,
    seed: int = 0,
) -> np.ndarray:
    """Independent patches of `size` x `size` pixels, `(image, size, size)`: levels 0 ... 255, uniform for each disc.

    Radii are in pixels. A pixel shows the point at its centre.

    **Raises:** `InputError` for sizes below one and radii that are not in order.
    """
    num_images, size = check_sizes(num_images=num_images, size=size)
    least_radius = number_in("least_radius", least_radius, 0, expected="positive", remedy="use 1")
    if not least_radius < most_radius < np.inf:
        got = f"{least_radius:g} and {most_radius:g}"
        raise InputError("most_radius", expected="above least_radius", got=got, remedy="give the larger one last")
    most = max(1, PIXELS_AT_A_TIME // size**2)
    sizes = [min(most, num_images - start) for start in range(0, num_images, most)]
    streams = np.random.default_rng(seed).spawn(len(sizes))
    drawn = [
        _patches(num, size, (least_radius, most_radius), random) for num, random in zip(sizes, streams, strict=True)
    ]
    return np.concatenate(drawn)


def _patches(num: int, size: int, ends: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """The greys of `num` patches, some leaves of each at a time, of which only those with bare pixels get more."""
    greys = np.zeros((num, size, size), np.uint8)
    middles = np.arange(size, dtype=np.float32) + 0.5
    unfinished, bare = np.arange(num), np.ones((num, size, size), bool)
    while len(unfinished):
        shape = (LEAVES_AT_A_TIME, len(unfinished))
        radius = _radii(random, shape, size, *ends)
        # The centres whose discs can touch the patch; those of the corners do not, and cover nothing.
        centres = random.random((2, *shape)) * (size + 2 * radius) - radius
        down, across = np.square(middles - centres.astype(np.float32)[..., None])
        within = np.square(radius).astype(np.float32)[..., None] - down
        colours = random.integers(0, NUM_LEVELS, shape, dtype=np.uint8)
        seen = greys[unfinished]
        for leaf in range(LEAVES_AT_A_TIME):
            covers = across[leaf, :, None, :] <= within[leaf, :, :, None]
            np.copyto(seen, colours[leaf, :, None, None], where=covers & bare)
            bare &= ~covers
        greys[unfinished] = seen
        is_bare = bare.any(axis=(1, 2))
        unfinished, bare = unfinished[is_bare], bare[is_bare]
    return greys


def _radii(random: np.random.Generator, shape: tuple[int, ...], size: int, least: float, most: float) -> np.ndarray:
    """Radii of the discs near a patch: r^-3 times (size + 2r)^2, the area in which their centres are.

    The product is a sum of three powers, one of which is chosen in proportion to its mass, and its quantile taken.
    """
    masses = np.array(
        [size**2 * (least**-2 - most**-2) / 2, 4 * size * (1 / least - 1 / most), 4 * np.log(most / least)]
    )
    power = random.choice(3, shape, p=masses / masses.sum())
    u = random.random(shape)
    ratio = least / most
    return least * np.choose(power, [(1 - u * (1 - ratio**2)) ** -0.5, 1 / (1 - u * (1 - ratio)), ratio**-u])
