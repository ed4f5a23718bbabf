"""Patches of pictures of one's own: photographs, textures, scans."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dpm_ppl._common.checks import whole_number
from dpm_ppl._common.errors import InputError

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SHARES = (0.7, 0.1, 0.2)
"""Of a picture's width, from the left: to train on, to choose by, held out."""


class Split(NamedTuple):
    """Patches of one size from parts of the pictures that do not overlap."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def patches(
    folder: str | Path, size: int, num_patches: tuple[int, int, int], *, seed: int = 0, colour: bool = False
) -> Split:
    """Squares of `size` pixels from random places in all pictures of a folder, `(patch, size, size)` levels 0 ... 255.

    Each picture is cut into three upright bands: the left 70 % give the patches to train on, the next 10 % those to
    choose by, the right 20 % those that are held out, so that no pixel is in two of them. A picture gives as many
    patches as it has places for one. With `colour` the patches are `(patch, size, size, 3)`.

    **Raises:** `InputError` of `data_folder` for a folder without pictures, a picture that is damaged or of more than 8
    bits, and pictures that are too small.
    """
    size = whole_number("size", size, least=2, expected="at least 2 pixels", remedy="choose larger patches")
    pictures = _pictures(Path(folder))
    sizes = [_size(path) for path in pictures]
    bands = [_bands(width) for width, _ in sizes]
    random = np.random.default_rng(seed)
    shares = []
    for part, num in enumerate(num_patches):
        widths = (high - low for low, high in (band[part] for band in bands))
        places = [
            max(0, width - size + 1) * max(0, height - size + 1)
            for width, (_, height) in zip(widths, sizes, strict=True)
        ]
        if not sum(places):
            expected = f"pictures with room for patches of {size} x {size} pixels in {SHARES[part]:.0%} of their width"
            got = f"none in {folder}, where the widest has {max(sizes)[0]}"
            raise _refusal(expected, got, "bring larger pictures, or ask for smaller patches")
        shares.append(random.multinomial(num, np.asarray(places) / sum(places)).tolist())
    cut: list[list[np.ndarray]] = [[], [], []]
    for path, band, nums in zip(pictures, bands, zip(*shares, strict=True), strict=True):
        pixels = _pixels(path, colour)  # one at a time, as together they may be larger than memory
        for parts, (low, high), num in zip(cut, band, nums, strict=True):
            if num:
                parts.append(_cut(pixels[:, low:high], size, num, random))
    shuffled = (random.permutation(np.concatenate(parts)) for parts in cut)
    return Split(*shuffled)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise _refusal("a folder of pictures", f"{folder}, which is none", "name the folder where they are")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        kinds = ", ".join(ENDINGS)
        raise _refusal(f"pictures ({kinds})", f"none in {folder}", "put some there, or name another folder")
    return found


def _bands(width: int) -> list[tuple[int, int]]:
    ends = np.rint(np.cumsum((0, *SHARES)) * width).astype(int).tolist()
    return list(pairwise(ends))


def _size(path: Path) -> tuple[int, int]:
    """Width and height, which stand at the beginning of a file."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise _refusal("pictures of 8 bits", f"{path}, of mode {picture.mode}", "convert it to 8 bits")
            return picture.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from error


def _pixels(path: Path, colour: bool) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB" if colour else "L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from error


def _cut(pixels: np.ndarray, size: int, num: int, random: np.random.Generator) -> np.ndarray:
    rows = random.integers(0, pixels.shape[0] - size + 1, num)
    columns = random.integers(0, pixels.shape[1] - size + 1, num)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (size, size), axis=(0, 1))
    found = windows[rows, columns]
    return np.ascontiguousarray(found if pixels.ndim == 2 else found.transpose(0, 2, 3, 1))


def _damaged(path: Path, error: Exception) -> InputError:
    return _refusal("pictures that can be read", f"{path}, which does not ({error})", "repair it, or take it away")


def _refusal(expected: str, got: str, remedy: str) -> InputError:
    return InputError("data_folder", expected=expected, got=got, remedy=remedy)
