"""The binary version of CIFAR-10 (Krizhevsky 2009): a byte of label and 3,072 of an image, again and again."""

import tarfile
import zlib
from pathlib import Path

import numpy as np

from dpm_ppl._common.errors import InputError

SIZE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIZE * SIZE
MOST_LABEL = 9
ARCHIVE, FOLDER = "cifar-10-binary.tar.gz", "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)


def read_cifar(path: str | Path, argument: str = "path") -> np.ndarray:
    """The images `(image, 32, 32, 3)` of one file of the binary version.

    **Raises:** `InputError` that names `argument` where there is no such file, or it is truncated or another.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _refusal(argument, path, f"which does not read ({error})") from error
    return _images(content, path, argument)


def read_cifar_archive(path: Path, names: tuple[str, ...], argument: str) -> np.ndarray:
    """The images of some files in the archive as it is downloaded, in which they are read where they are.

    **Raises:** as `read_cifar` does.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            contents = [archive.extractfile(members[name]) for name in names]
            return np.concatenate([_images(file.read(), path, argument) for file in contents if file is not None])
    except KeyError as missing:
        raise _refusal(argument, path, f"which lacks {missing}") from missing
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise _refusal(argument, path, f"which does not read ({error})") from error


def _images(content: bytes, path: str | Path, argument: str) -> np.ndarray:
    if not content or len(content) % RECORD:
        raise _refusal(argument, path, f"whose {len(content):,} bytes are no multiple of {RECORD:,}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() > MOST_LABEL:
        raise _refusal(argument, path, f"with the label {records[:, 0].max()}, above {MOST_LABEL}")
    return np.ascontiguousarray(records[:, 1:].reshape(-1, CHANNELS, SIZE, SIZE).transpose(0, 2, 3, 1))


def _refusal(argument: str, path: str | Path, got: str) -> InputError:
    remedy = f"download {ARCHIVE} again, of which no other version is read"
    return InputError(
        argument, expected="a whole file of CIFAR-10, binary version", got=f"{path}, {got}", remedy=remedy
    )
