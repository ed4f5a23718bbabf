"""Tables of named columns: read, fitted and drawn under their names and kinds."""

import jax
import numpy as np
import pandas
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.data.columns import Column, Table, frame_of
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.data.frames import SUFFIXES, read_frame, suffix_like, write_frame

RNG = np.random.default_rng(0)
NUM = 300
FRAME = pandas.DataFrame(
    {
        "height": RNG.normal(170, 10, NUM),
        "children": RNG.poisson(2, NUM),
        "smokes": RNG.uniform(size=NUM) < 0.3,
        "town": RNG.choice(["Ulm", "Bonn", "Köln"], NUM, p=[0.5, 0.3, 0.2]),
        "born": RNG.integers(0, 10**7, NUM),
    }
)
KINDS = ["real", "whole", "bool", "category", "real"]


def test_the_kind_of_a_column_follows_from_its_values():
    table = Table.of_frame(FRAME)
    assert [column.kind for column in table.columns] == KINDS
    assert table.columns[1] == Column("children", "whole", 0, int(FRAME.children.max()))
    assert table.columns[3].labels == ("Bonn", "Köln", "Ulm")
    np.testing.assert_array_equal(table.values[:, 3], [("Bonn", "Köln", "Ulm").index(town) for town in FRAME.town])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_and_kinds_survive_a_file(suffix, tmp_path):
    table = Table.of_frame(FRAME)
    with (tmp_path / f"x{suffix}").open("wb") as file:
        write_frame(frame_of(table.columns, table.values), file, suffix)
    again = Table.of_frame(read_frame(tmp_path / f"x{suffix}"))
    assert again.columns == table.columns
    np.testing.assert_allclose(again.values, table.values, rtol=1e-12)


@pytest.fixture(scope="module")
def dataset():
    return Dataset.from_table(Table.of_frame(FRAME))


def test_discrete_columns_are_dequantised_and_real_ones_are_not(dataset):
    rows, table = jax.numpy.asarray(dataset.values), Table.of_frame(FRAME)
    draws = np.stack([np.asarray(dataset.draw(rows, jax.random.key(seed))) for seed in range(20)])
    x = dataset.units.unstandardise(draws) - table.values
    real = [0, 4]
    np.testing.assert_allclose(x[..., real] / dataset.units.scale[real], 0, atol=1e-6)
    noise = x[..., [1, 2, 3]]
    assert (noise > -1e-5).all()
    assert (noise < 1 + 1e-5).all()
    assert noise.mean() == pytest.approx(1 / 2, abs=4 * np.sqrt(1 / 12 / noise.size))
    # The scale is that of what training sees.
    assert draws.reshape(-1, 5).std(axis=0) == pytest.approx(np.ones(5), abs=4 / np.sqrt(2 * NUM))


def test_draws_come_back_as_what_was_read(dataset):
    z = dataset.draw(jax.numpy.asarray(dataset.values), jax.random.key(1))
    frame = frame_of(dataset.units.columns, dataset.units.as_given(z))
    for name in ("children", "smokes", "town"):
        assert frame[name].astype(FRAME[name].dtype).tolist() == FRAME[name].tolist()
    far = dataset.units.as_given(np.full((1, 5), 99.0))[0]
    assert far[1:4].tolist() == [FRAME.children.max(), 1, 2]


def test_another_table_takes_the_codes_of_the_first():
    table, part = Table.of_frame(FRAME), FRAME[FRAME.town != "Bonn"].iloc[:, ::-1]
    again = Table.of_frame(part, like=table)
    assert again.columns == table.columns
    np.testing.assert_array_equal(again.values, table.values[(FRAME.town != "Bonn").to_numpy()])


def test_categories_that_have_an_order_keep_it():
    sizes = pandas.Categorical(["mid", "small", "large"] * 5, ["small", "mid", "large"], ordered=True)
    (column,) = Table.of_frame(pandas.DataFrame({"size": sizes})).columns
    assert column.labels == ("small", "mid", "large")


NUMBERS = pandas.Series(np.arange(50) / 4, name="x")
MESSY = {
    "a text among numbers": (NUMBERS.astype(str).replace("0.5", "n.a."), None, "numbers in all rows, got 'n.a.' and"),
    "infinite": (NUMBERS.replace(0.5, np.inf), None, "finite numbers, got 1 infinite"),
    "missing": (NUMBERS.replace(0.5, np.nan), None, "no missing values, got 1"),
    "fractions for whole numbers": (NUMBERS, "whole", "whole numbers, got fractions"),
    "numbers for truth values": (NUMBERS * 4, "bool", "truth values, got other numbers"),
    "numbers for categories": (NUMBERS, "category", "the categories no, yes, got 0.0"),
    "other categories": (NUMBERS.map({0.5: "maybe"}).fillna("no"), "category", "the categories no, yes, got maybe"),
    "texts for numbers": (NUMBERS.map({0.5: "maybe"}).fillna("no"), "real", "numbers, got texts"),
}


@pytest.mark.parametrize("name", MESSY)
def test_a_column_is_refused_by_name(name):
    column, kind, said = MESSY[name]
    labels = ("no", "yes") if kind == "category" else ()
    like = None if kind is None else Table(np.zeros((1, 1)), (Column("x", kind, 0, 9, labels),))
    with pytest.raises(InputError, match=f"column 'x' to have {said}"):
        Table.of_frame(column.to_frame(), like=like)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("height;weight\n1,5;2\n", "commas between them, got the line 'height;weight'"),
        ("1.5,2.5\n2.5,3.5\n", "names of columns in the first line, got the number 1.5"),
        ("1.0e+00 2.0e+00\n3.0e+00 4.0e+00\n", "names of columns in the first line, got the number 1.0e"),
        ("height,weight\n1,2,3\n4,5,6\n", "as many fields in a row as there are names, got more"),
    ],
    ids=["semicolons", "no names", "no names nor commas", "too few names"],
)
def test_a_csv_without_names_or_commas_is_refused(text, said, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_frame(tmp_path / "x.csv")


def test_names_may_be_whole_numbers_and_hold_marks(tmp_path):
    (tmp_path / "X.CSV").write_text('0,2020,"a, ""b"";c"\n1,2,3\n')
    assert read_frame(tmp_path / "X.CSV").columns.tolist() == ["0", "2020", 'a, "b";c']


@pytest.mark.parametrize(
    ("read", "written"), [("x.parquet", ".parquet"), ("X.NPZ", ".npz"), ("x.csv", ".csv"), ("x", ".csv")]
)
def test_draws_of_a_table_are_written_like_the_table(read, written):
    assert suffix_like(read) == written


@pytest.mark.parametrize("table", [FRAME, FRAME.height.to_numpy(), None], ids=["frame", "array", "nothing"])
def test_a_data_set_is_made_of_a_table(table, unchecked):
    with pytest.raises(InputError, match=f"table: expected a Table, got {type(table).__name__}; .*Table.of_frame"):
        Dataset.from_table(table)
