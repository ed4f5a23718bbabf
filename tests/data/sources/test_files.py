"""Readers of image files: what they give of whole ones, and what they say of all others."""

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from dpm_ppl._common.errors import InputError
from dpm_ppl.data import sources
from dpm_ppl.data.sources.cifar import ARCHIVE, FOLDER, TEST, TRAIN
from dpm_ppl.data.sources.known import TEST_IMAGES, TRAIN_IMAGES

RANDOM = np.random.default_rng(0)
IMAGES = {
    TRAIN_IMAGES: RANDOM.integers(0, 256, (7, 28, 28), dtype=np.uint8),
    TEST_IMAGES: RANDOM.integers(0, 256, (3, 28, 28), dtype=np.uint8),
}
COLOURS = {name: RANDOM.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8) for name in (*TRAIN, *TEST)}


def as_idx(values, kind=8):
    return bytes([0, 0, kind, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def as_cifar(images, label=9):
    return b"".join(bytes([label]) + image.transpose(2, 0, 1).tobytes() for image in images)


def told(content):
    """Names of contents, which have the time of packing in them."""
    return f"{len(content)} bytes" if isinstance(content, bytes) else None


def archive_of(contents):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def written(folder, contents):
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("read", [sources.mnist, sources.fashion_mnist])
@pytest.mark.parametrize(
    ("change", "ending"), [(gzip.compress, ".gz"), (bytes, ""), (bytes, ".gz")], ids=["gzipped", "plain", "misnamed"]
)
def test_idx_files_of_a_folder(read, change, ending, tmp_path):
    folder = written(tmp_path, {name + ending: change(as_idx(images)) for name, images in IMAGES.items()})
    found = read(folder)
    np.testing.assert_array_equal(found.train, IMAGES[TRAIN_IMAGES])
    np.testing.assert_array_equal(found.test, IMAGES[TEST_IMAGES])
    assert found.train.dtype == np.uint8


def test_idx_files_under_their_other_name(tmp_path):
    contents = {name.replace("-idx3", ".idx3"): as_idx(images) for name, images in IMAGES.items()}
    np.testing.assert_array_equal(sources.mnist(written(tmp_path, contents)).test, IMAGES[TEST_IMAGES])


WHOLE = as_idx(IMAGES[TEST_IMAGES])
PACKED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:-1], r"2,351 values where its shape \(3, 28, 28\) has 2,352"),
        (WHOLE + b"\0", "2,353 values"),
        (WHOLE[:7], "ends before its sizes"),
        (b"", "does not begin as one"),
        (b"\x01" + WHOLE[1:], "does not begin as one"),
        (as_idx(np.ones((2, 2), ">f4"), kind=0x0D), "type 0x0d"),
        (PACKED[:-20], "does not read"),
        (PACKED[:100] + bytes([PACKED[100] ^ 255]) + PACKED[101:], "does not read"),
        (PACKED[:5], "does not read"),
        (pickle.dumps(IMAGES), "does not begin as one"),
        (as_idx(np.ones(5, np.uint8)), r"shape \(5,\)"),
        (as_idx(np.ones((5, 20, 28), np.uint8)), r"shape \(5, 20, 28\)"),
    ],
    ids=told,
)
def test_damaged_idx_files_are_refused_by_name(content, message, tmp_path):
    written(tmp_path, {TRAIN_IMAGES: as_idx(IMAGES[TRAIN_IMAGES]), TEST_IMAGES: content})
    with pytest.raises(InputError, match=rf"data_folder: .*{TEST_IMAGES}.*{message}"):
        sources.mnist(tmp_path)


@pytest.mark.parametrize("read", [sources.mnist, sources.fashion_mnist, sources.cifar10])
def test_missing_files_are_named_with_the_place_for_them(read, tmp_path):
    with pytest.raises(InputError, match=rf"data_folder: expected .*gz, .*{tmp_path}; put it there, from http"):
        read(tmp_path)
    with pytest.raises(InputError, match="data_folder: expected a folder"):
        read(tmp_path / "none")


@pytest.mark.parametrize("place", ["", FOLDER, ARCHIVE])
def test_colours_of_a_folder_or_an_archive(place, tmp_path):
    contents = {name: as_cifar(images) for name, images in COLOURS.items()}
    if place == ARCHIVE:
        written(tmp_path, {ARCHIVE: archive_of({"batches.meta.txt": b"", **contents})})
    else:
        written(tmp_path / place, contents)
    found = sources.cifar10(tmp_path)
    np.testing.assert_array_equal(found.train, np.concatenate([COLOURS[name] for name in TRAIN]))
    np.testing.assert_array_equal(found.test, COLOURS[TEST[0]])
    np.testing.assert_array_equal(sources.read_cifar(tmp_path / place / TEST[0]), found.test) if place == "" else None


COLOUR_FILE = as_cifar(COLOURS[TEST[0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (COLOUR_FILE[:-1], "no multiple of 3,073"),
        (b"", "0 bytes"),
        (as_cifar(COLOURS[TEST[0]], label=10), "label 10, above 9"),
        (None, "does not read"),
    ],
    ids=told,
)
def test_damaged_colours_are_refused(content, message, tmp_path):
    contents = {name: as_cifar(images) for name, images in COLOURS.items()} | {TRAIN[1]: content}
    written(tmp_path, {name: one for name, one in contents.items() if one is not None})
    with pytest.raises(InputError, match=rf"data_folder: .*{TRAIN[1]}.*{message}"):
        sources.cifar10(tmp_path)
    whole = archive_of({name: one for name, one in contents.items() if one is not None})
    written(tmp_path / "packed", {ARCHIVE: whole})
    with pytest.raises(InputError, match=f"data_folder: .*{message if content is not None else 'lacks'}"):
        sources.cifar10(tmp_path / "packed")


@pytest.mark.parametrize("content", [archive_of({})[:40], b"", pickle.dumps(3)], ids=told)
def test_damaged_archives_are_refused(content, tmp_path):
    with pytest.raises(InputError, match=rf"data_folder: .*{ARCHIVE}, which"):
        sources.cifar10(written(tmp_path, {ARCHIVE: content}))


def picture(path, width=60, height=30, mode="RGB"):
    """A picture whose red says the column and whose green says the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width), np.arange(height)[:, None]
    Image.fromarray(pixels).convert(mode).save(path)


def test_patches_are_of_bands_that_do_not_overlap(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.PNG", width=100)
    picture(tmp_path / "narrow.bmp", width=4)  # which has no room for a patch
    (tmp_path / "notes.txt").write_text("no picture")
    found = sources.patches(tmp_path, 5, (400, 50, 100), colour=True)
    assert [part.shape for part in found] == [(400, 5, 5, 3), (50, 5, 5, 3), (100, 5, 5, 3)]
    for part in found:  # whole squares as they are in a picture
        red, green = (part[..., colour].astype(int) for colour in (0, 1))
        np.testing.assert_array_equal(red - red[:, :1, :1], np.broadcast_to(np.arange(5), red.shape))
        np.testing.assert_array_equal(green - green[:, :1, :1], np.broadcast_to(np.arange(5)[:, None], red.shape))
        assert (green.min(), green.max()) == (0, 29)
    columns = [set(np.unique(part[..., 0]).tolist()) for part in found]
    assert columns[0] <= {*range(70)}
    assert columns[1] <= {*range(42, 48), *range(70, 80)}
    assert columns[2] <= {*range(48, 60), *range(80, 100)}
    # As many from a picture as it has places: 38 columns of the first, 66 of the second.
    share = (found.train[..., 0].max(axis=(1, 2)) >= 42).mean()
    assert share == pytest.approx(28 / 104, abs=4 * np.sqrt(0.2 / 400))
    again, other = (sources.patches(tmp_path, 5, (400, 50, 100), seed=seed, colour=True) for seed in (0, 1))
    np.testing.assert_array_equal(again.test, found.test)
    assert not np.array_equal(other.test, found.test)
    assert sources.patches(tmp_path, 5, (2, 1, 1)).train.shape == (2, 5, 5)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("no picture"), "none in"),
        (lambda path: picture(path.with_suffix(".png"), width=20), "room for patches of 5 x 5"),
        (lambda path: path.with_suffix(".png").write_bytes(pickle.dumps(3)), "does not"),
        (lambda path: path.with_suffix(".png").write_bytes(b""), "does not"),
        (lambda path: Image.fromarray(np.ones((9, 99), np.uint16)).save(path.with_suffix(".png")), "8 bits"),
    ],
)
def test_folders_without_usable_pictures_are_refused(write, message, tmp_path):
    write(tmp_path / "a.txt")
    with pytest.raises(InputError, match=f"data_folder: .*{message}"):
        sources.patches(tmp_path, 5, (2, 2, 2))
    with pytest.raises(InputError, match="which is none"):
        sources.patches(tmp_path / "none", 5, (2, 2, 2))


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_truncated_pictures_are_refused(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    picture(path, width=200, height=200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"data_folder: .*a.{ending}, which does not \(.*truncated"):
        sources.patches(tmp_path, 5, (2, 2, 2))
