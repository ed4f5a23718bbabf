import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.data import rows
from dpm_ppl.data.dataset import Dataset, load_array, split

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(400, 3)) * [4.0, 0.5, 1.0] + [100.0, -3.0, 1.0]
LEVELS = RNG.integers(0, 5, size=(300, 2, 2))
BITS = RNG.integers(0, 2, size=(50, 20))

CASES = {
    "continuous": lambda x=REAL, **options: Dataset.from_continuous(x, **options),
    "levels": lambda x=LEVELS, **options: Dataset.from_levels(x, 5, **options),
    "binary": lambda x=BITS, **options: Dataset.from_binary(x, **options),
}
SOURCES = {"continuous": REAL, "levels": LEVELS, "binary": BITS}


def saved(path, values):
    np.save(path, values)
    return load_array(path)


def test_pooled_scaling_keeps_the_shape_of_the_data():
    dataset = Dataset.from_continuous(REAL)
    np.testing.assert_allclose(dataset.values.mean(axis=0), 0, atol=1e-6)
    assert np.square(dataset.values).mean() == pytest.approx(1, rel=1e-6)
    ratio = dataset.values.std(axis=0) / REAL.std(axis=0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_each_coordinate_may_have_its_own_scale():
    values = Dataset.from_continuous(REAL, per_coordinate=True).values
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-6)


def test_one_mean_may_be_removed_from_all_coordinates():
    dataset = Dataset.from_continuous(REAL, pooled_mean=True)
    assert dataset.units.shift == pytest.approx(REAL.mean(), rel=1e-12)
    assert dataset.units.scale == pytest.approx(REAL.std(), rel=1e-12)


def test_levels_are_scaled_as_their_dequantised_values():
    dataset = Dataset.from_levels(LEVELS, 5, pooled_mean=True)
    assert dataset.units.shift == pytest.approx(LEVELS.mean() + 1 / 2)
    assert dataset.units.scale == pytest.approx(np.sqrt(LEVELS.var() + 1 / 12))
    draws = dataset.draw(jnp.asarray(np.tile(dataset.values, (100, 1, 1))), jax.random.key(0))
    # Only the noise differs from draw to draw: its part of the mean and of the mean square is what can be off.
    assert float(draws.mean()) == pytest.approx(0, abs=4 * np.sqrt(1 / 12 / draws.size))
    assert float(jnp.square(draws).mean()) == pytest.approx(1, abs=4 * 2 / np.sqrt(draws.size))


def test_dequantised_data_stay_within_their_levels_and_differ_from_draw_to_draw():
    dataset = Dataset.from_levels(LEVELS, 5, per_coordinate=True)
    rows = jnp.asarray(dataset.rows(np.arange(300)))
    first, second = (dataset.draw(rows, jax.random.key(seed)) for seed in (0, 1))
    for draw in (first, second):
        above = dataset.units.unstandardise(draw) - LEVELS
        assert above.min() > -1e-5
        assert above.max() < 1 + 1e-5
        assert above.mean() == pytest.approx(1 / 2, abs=4 * np.sqrt(1 / 12 / above.size))
        assert above.var() == pytest.approx(1 / 12, rel=0.1)
    assert not np.any(first == second)


@pytest.mark.parametrize("case", ["continuous", "binary"])
def test_data_without_levels_are_drawn_as_they_are(case):
    dataset = CASES[case]()
    draw = jax.jit(dataset.draw)(dataset.values, jax.random.key(0))
    np.testing.assert_array_equal(draw, dataset.values)
    assert draw.dtype == dataset.values.dtype


@pytest.mark.parametrize("case", CASES)
def test_streamed_and_resident_rows_are_equal(case, tmp_path):
    source = saved(tmp_path / "x.npy", SOURCES[case])
    resident, streamed = CASES[case](source), CASES[case](source, resident=False)
    indices = np.array([7, 0, 7, 49])
    assert (resident.resident, streamed.resident) == (True, False)
    np.testing.assert_array_equal(resident.rows(indices), streamed.rows(indices))
    np.testing.assert_array_equal(resident.rows(indices), CASES[case]().values[indices])
    with pytest.raises(InputError, match="rows"):
        _ = streamed.values


@pytest.mark.parametrize("case", CASES)
def test_statistics_do_not_depend_on_the_chunks(case, monkeypatch):
    whole = CASES[case]()
    monkeypatch.setattr(rows, "CHUNK_SIZE", 50)
    chunked = CASES[case]()
    np.testing.assert_allclose(chunked.units.shift, whole.units.shift, rtol=1e-12)
    np.testing.assert_allclose(chunked.units.scale, whole.units.scale, rtol=1e-12)


def test_what_is_read_from_a_map_is_not_kept_in_memory(tmp_path):
    """In a process of its own, whose pages are counted: of 200 MB none is left once it has been read."""
    path, size = tmp_path / "x.npy", (50_000, 1000)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=size)
    written[:, 0] = np.arange(size[0])
    del written
    code = f"""
from dpm_ppl.data.dataset import Dataset, load_array, split
def peak():  # `getrusage` would count what the process of the tests has held
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
train, heldout = split(load_array({str(path)!r}), 45_000, 0)
data = Dataset.from_continuous(train, resident=False)
data.rows(range(100))
assert len(heldout) == 5_000
print((peak() - before) // 2**10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150  # megabytes, most of them numbers in float64


def test_large_memory_maps_are_streamed(tmp_path, monkeypatch):
    source = saved(tmp_path / "x.npy", REAL)
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 4 * REAL.size - 1)
    assert not Dataset.from_continuous(source).resident
    assert Dataset.from_continuous(source, resident=True).resident
    assert Dataset.from_continuous(REAL).resident


@pytest.mark.parametrize("case", ["continuous", "levels"])
def test_held_out_data_take_the_units_of_the_training_split(case):
    train, held_out = split(SOURCES[case], 200, seed=0)
    reference = CASES[case](train)
    dataset = CASES[case](held_out, reference=reference)
    assert dataset.units is reference.units
    assert dataset.log_det == reference.log_det


def test_shape_of_a_dataset():
    dataset = CASES["levels"]()
    assert (dataset.num_points, dataset.event_shape, dataset.units.num_coordinates) == (300, (2, 2), 4)
    assert dataset.values.shape == (300, 2, 2)


def test_split_is_a_partition_fixed_by_its_seed():
    values = np.arange(100)
    train, held_out = split(values, 70, seed=3)
    assert len(train) == 70
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), values)
    np.testing.assert_array_equal(train, split(values, 70, seed=3)[0])
    assert np.any(train != split(values, 70, seed=4)[0])


def with_entry(values, index, entry):
    changed = np.array(values, float)
    changed[index] = entry
    return changed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Dataset.from_continuous(with_entry(REAL, ([17, 20], [2, 0]), np.nan)),
            r"values: expected finite numbers, got 2 other entries, the first nan at index \(17, 2\)",
        ),
        (lambda: Dataset.from_continuous(with_entry(REAL, (0, 0), np.inf)), "first inf"),
        (lambda: Dataset.from_continuous(np.array(["a", "b"])), "real numbers, got dtype <U1"),
        (lambda: Dataset.from_continuous(REAL + 0j), "dtype complex128"),
        (lambda: Dataset.from_continuous(np.array([[None]])), "dtype object"),
        (lambda: Dataset.from_continuous([[1.0], [1.0, 2.0]]), "same shape"),
        (lambda: Dataset.from_continuous(np.zeros((0, 2))), r"at least one datum.*shape \(0, 2\)"),
        (lambda: Dataset.from_continuous(np.ones(())), r"shape \(\)"),
        (lambda: Dataset.from_continuous(np.full((10, 2), 0.1)), "expected data that vary, got a constant"),
        (
            lambda: Dataset.from_continuous(with_entry(REAL, (slice(None), 1), 0.1), per_coordinate=True),
            "in every coordinate, got the same value throughout column 1; drop what is constant, or pool",
        ),
        (lambda: Dataset.from_levels(LEVELS, 4), r"whole numbers 0 ... 3, got .* the first 4.0"),
        (lambda: Dataset.from_levels(LEVELS - 1, 5), "first -1.0"),
        (lambda: Dataset.from_levels(LEVELS + 0.5, 6), "whole numbers"),
        (lambda: Dataset.from_levels(with_entry(LEVELS, (0, 0, 0), np.nan), 5), "first nan"),
        (lambda: Dataset.from_levels(LEVELS, 1), "num_levels: expected at least 2"),
        (lambda: Dataset.from_binary(LEVELS), "bits, 0 or 1"),
        (lambda: Dataset.from_continuous(REAL[:, :2], reference=Dataset.from_continuous(REAL)), "reference"),
        (lambda: Dataset.from_levels(LEVELS, 6, reference=CASES["levels"]()), "reference"),
        (lambda: split(REAL, 400, seed=0), "num_train: expected between 1 and 399"),
        (lambda: split(REAL, 0, seed=0), "num_train"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("chunk_size", [10, 2**22])
def test_the_first_bad_entry_is_found_in_any_chunk(chunk_size, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_SIZE", chunk_size)
    with pytest.raises(InputError, match=r"got 1 other entries, the first 7.0 at index \(299, 1, 0\)"):
        Dataset.from_levels(with_entry(LEVELS, (299, 1, 0), 7), 5)


def test_files_that_hold_no_array_of_numbers(tmp_path):
    np.savez(tmp_path / "archive.npz", x=REAL)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.npy").write_text("1, 2, 3\n")
    (tmp_path / "folder.npy").mkdir()
    np.save(tmp_path / "whole.npy", REAL)
    (tmp_path / "truncated.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-100])
    for name in ("archive.npz", "objects.npy", "empty.npy", "text.npy", "folder.npy", "truncated.npy"):
        with pytest.raises(InputError, match=f"data: expected a .npy file of numbers, got .*{name}") as caught:
            load_array(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"data: expected a \.npy file, got no file"):
        load_array(tmp_path / "absent.npy")
