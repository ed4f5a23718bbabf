import io
import json
import zipfile
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.training import checkpoint


class Pair(NamedTuple):
    first: object
    second: object


def tree(scale=1.0):
    return {
        "a/b$params": Pair(jnp.linspace(0.0, scale, 5), None),
        "half": jnp.asarray([1.0, 1 / 3, jnp.inf], jnp.bfloat16) * scale,
        "count": jnp.asarray(3, jnp.int32),
        "flag": jnp.asarray([True, False]),
        "key": jax.random.key(5),
        "keys": jax.random.split(jax.random.key(6, impl="rbg"), 2),
        "raw": jax.random.PRNGKey(7),
        "empty": jnp.zeros((0, 2)),
    }


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert one.dtype == other.dtype
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_a_saved_tree_comes_back_bit_for_bit(tmp_path):
    meta = {"seconds": 0.1 + 0.2, "rows": [{"loss": float("inf")}], "name": "π"}
    checkpoint.save(tmp_path / "it.npz", tree(), meta)
    restored, meta_restored = checkpoint.load(tmp_path / "it.npz", tree(scale=9.0))
    assert_same(restored, tree())
    assert meta_restored == meta == checkpoint.read_meta(tmp_path / "it.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["it.npz"]


def test_the_file_needs_no_pickle(tmp_path):
    checkpoint.save(tmp_path / "it.npz", tree(), {})
    with np.load(tmp_path / "it.npz", allow_pickle=False) as archive:
        assert json.loads(str(archive["header"]))["format"] == checkpoint.FORMAT
        assert all(archive[name].dtype.kind != "O" for name in archive.files)


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "it.npz"
    checkpoint.save(path, tree(), {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(path, tree(), {"cannot be written": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_newest_two_are_kept(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "not made yet") is None
    for count in [9, 10, 1000]:
        checkpoint.save_in(tmp_path, count, tree(), {"count": count})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["update-000000000010.npz", "update-000000001000.npz"]
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    assert checkpoint.read_meta(newest) == {"count": 1000}


def test_the_latest_is_the_newest_that_can_be_read(tmp_path):
    old = checkpoint.save_in(tmp_path, 1, tree(), {})
    new = checkpoint.save_in(tmp_path, 2, tree(), {})
    new.write_bytes(new.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=rf"^{new} is a truncated.*; going on from {old.name}$"):
        assert checkpoint.latest(tmp_path) == old
    old.write_bytes(b"")
    with pytest.raises(InputError, match="whole checkpoint file"):
        checkpoint.latest(tmp_path)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def other_version(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    old, new = '"version": 1'.encode("utf-32-le"), '"version": 8'.encode("utf-32-le")
    assert old in members["header.npy"]
    members["header.npy"] = members["header.npy"].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


BAD_FILES = {
    "missing": (lambda path: path.unlink(), "no such file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "truncated"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "truncated"),
    "empty": (lambda path: path.write_bytes(b""), "truncated"),
    "one bit": (flipped, "checksum|truncated"),
    "text": (lambda path: path.write_text("hello"), "foreign"),
    "other archive": (lambda path: np.savez(path, a=np.ones(3)), "another kind of archive"),
    "array": (lambda path: path.write_bytes(npy(np.ones(3))), "foreign"),
    "version": (other_version, "version 8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_an_input_error_that_names_it(tmp_path, name):
    path = tmp_path / "it.npz"
    checkpoint.save(path, tree(), {})
    spoil, message = BAD_FILES[name]
    spoil(path)
    with pytest.raises(InputError, match=message) as caught:
        checkpoint.load(path, tree())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


OTHER_TREES = {
    "another shape": (
        lambda t: t | {"count": jnp.zeros(2, jnp.int32)},
        r"to be int32\(2,\), got int32\(\)",
    ),
    "another dtype": (lambda t: t | {"count": jnp.zeros(())}, "float32"),
    "another key": (lambda t: t | {"key": jax.random.key(5, impl="rbg")}, "key:"),
    "a leaf more": (lambda t: t | {"more": jnp.zeros(())}, "got none"),
    "a leaf less": (lambda t: {name: leaf for name, leaf in t.items() if name != "flag"}, "to be none"),
}


@pytest.mark.parametrize("name", OTHER_TREES)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, name):
    change, message = OTHER_TREES[name]
    checkpoint.save(tmp_path / "it.npz", tree(), {})
    with pytest.raises(InputError, match=message):
        checkpoint.load(tmp_path / "it.npz", change(tree()))
