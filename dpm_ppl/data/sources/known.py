"""Known data sets of images: from a folder where their files are, else downloaded once, with published digests."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.sources.cifar import ARCHIVE, FOLDER, TEST, TRAIN, read_cifar, read_cifar_archive
from dpm_ppl.data.sources.downloads import downloaded
from dpm_ppl.data.sources.idx import read_idx

ARGUMENT = "data_folder"
TRAIN_IMAGES, TEST_IMAGES = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"

# As torchvision publishes them for its own downloads, and the last one the page of CIFAR-10 itself.
MNIST_DIGESTS = {
    TRAIN_IMAGES: "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    TEST_IMAGES: "md5:9fb629c4189551a2d022fa330f9573f3",
}
FASHION_DIGESTS = {
    TRAIN_IMAGES: "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    TEST_IMAGES: "md5:bef4ecab320f06d8554ea6380940ec79",
}
CIFAR_DIGEST = "md5:c32a1d4ab5d03f1284b67883e8d87530"


class Images(NamedTuple):
    """8-bit images, `(image, height, width)` or with colours last: those to train on, and the published test images."""

    train: np.ndarray
    test: np.ndarray


def mnist(data_folder: str | Path | None = None) -> Images:
    """Handwritten digits, 60,000 and 10,000 of 28 x 28 pixels (LeCun et al. 1998).

    `data_folder` has the IDX files, gzipped or not; they are downloaded if it is None.

    **Raises:** `InputError` of `data_folder` for files that are missing, damaged or of other images.
    """
    return _idx_images("mnist", MNIST_URL, MNIST_DIGESTS, data_folder)


def fashion_mnist(data_folder: str | Path | None = None) -> Images:
    """Pictures of clothes in the format and size of MNIST (Xiao, Rasul and Vollgraf 2017). As `mnist`."""
    return _idx_images("fashion-mnist", FASHION_URL, FASHION_DIGESTS, data_folder)


def cifar10(data_folder: str | Path | None = None) -> Images:
    """Small photographs, 50,000 and 10,000 of 32 x 32 pixels in three colours (Krizhevsky 2009).

    `data_folder` has the binary version: its archive as it is downloaded, or the files in it. It is downloaded if None.

    **Raises:** `InputError` of `data_folder` for files that are missing, damaged or of another version.
    """
    if data_folder is None:
        remedy = _remedy(ARCHIVE, CIFAR_URL)
        path = downloaded(f"cifar-10/{ARCHIVE}", CIFAR_URL + ARCHIVE, CIFAR_DIGEST, remedy=remedy)
    else:
        folder = _folder(data_folder)
        inner = folder / FOLDER if (folder / FOLDER).is_dir() else folder
        if (inner / TEST[0]).is_file():
            return Images(*(_joined(inner, names) for names in (TRAIN, TEST)))
        path = folder / ARCHIVE
        if not path.is_file():
            raise _missing(ARCHIVE, folder, CIFAR_URL)
    return Images(*(read_cifar_archive(path, names, ARGUMENT) for names in (TRAIN, TEST)))


def _joined(folder: Path, names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([read_cifar(folder / name, ARGUMENT) for name in names])


def _idx_images(name: str, url: str, digests: dict[str, str], data_folder: str | Path | None) -> Images:
    folder = None if data_folder is None else _folder(data_folder)

    def path_of(stem: str) -> Path:
        file = f"{stem}.gz"
        if folder is None:
            return downloaded(f"{name}/{file}", url + file, digests[stem], remedy=_remedy(file, url))
        for candidate in (file, stem, stem.replace("-idx3", ".idx3")):
            if (folder / candidate).is_file():
                return folder / candidate
        raise _missing(file, folder, url)

    return Images(*(_checked(path_of(stem)) for stem in (TRAIN_IMAGES, TEST_IMAGES)))


def _checked(path: Path) -> np.ndarray:
    images = read_idx(path, ARGUMENT)
    if images.ndim != 3 or images.shape[1:] != (28, 28) or not len(images):
        got = f"{path}, with an array of shape {images.shape}"
        raise InputError(ARGUMENT, expected="images of 28 x 28 pixels", got=got, remedy="bring the file of images")
    return images


def _folder(data_folder: str | Path) -> Path:
    folder = Path(data_folder)
    if not folder.is_dir():
        got = f"{folder}, which is none"
        raise InputError(ARGUMENT, expected="a folder", got=got, remedy="name the folder where the files are")
    return folder


def _missing(file: str, folder: Path, url: str) -> InputError:
    return InputError(ARGUMENT, expected=file, got=f"no such file in {folder}", remedy=f"put it there, from {url}")


def _remedy(file: str, url: str) -> str:
    return f"get {file} from {url} by other means into a folder, and name it with --data-folder"
