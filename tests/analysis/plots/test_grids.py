import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots.grids import plot_image_grid
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, panel  # noqa: F401

pytestmark = pytest.mark.usefixtures("close_figures")
IMAGES = np.random.default_rng(0).integers(0, 17, size=(7, 8, 6))


def image(collection):
    (drawn,) = panel(collection, "images").images
    return drawn


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("num_columns", "shape"), [(None, (3, 3)), (2, (4, 2)), (7, (1, 7)), (20, (1, 7))])
def test_images_stand_row_by_row_with_gaps_between(backend, num_columns, shape):
    collection = plot_image_grid(IMAGES, num_columns=num_columns, title="digits", backend=backend)
    assert figure_title(collection) == "digits"
    shown = image(collection)
    assert shown.values.shape == (9 * shape[0] - 1, 7 * shape[1] - 1)  # gaps of one cell
    filled = np.zeros(shown.values.shape, bool)
    for i, each in enumerate(IMAGES):
        top, left = 9 * (i // shape[1]), 7 * (i % shape[1])
        np.testing.assert_array_equal(shown.values[top : top + 8, left : left + 6], each)
        filled[top : top + 8, left : left + 6] = True
    assert np.isnan(shown.values[~filled]).all()
    assert shown.limits == (IMAGES.min(), IMAGES.max())
    left, right, bottom, top = shown.edges
    assert panel(collection, "images").view == ((left, right), (bottom, top))  # rows go down the page
    assert (right - left, bottom - top) == shown.values.shape[::-1]
    assert panel(collection, "images").equal_axes


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("high", ["black", "white"])
def test_limits_and_shades_can_be_chosen(backend, high):
    collection = plot_image_grid(IMAGES / 3, limits=(0.0, 17.0), high=high, backend=backend)
    shown = image(collection)
    assert (shown.limits, shown.high) == ((0.0, 17.0), high)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_image_of_one_cell(backend):
    shown = image(plot_image_grid(np.full((1, 1, 1), 3.0), backend=backend))
    np.testing.assert_array_equal(shown.values, [[3.0]])
    assert shown.edges == (-0.5, 0.5, 0.5, -0.5)


def test_gaps_grow_with_the_images():
    shown = image(plot_image_grid(np.zeros((4, 30, 28)), backend="none"))
    assert shown.values.shape == (63, 59)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES[0]}, r"images: expected shape \(num_images, height, width\), got shape \(8, 6\)"),
        ({"images": IMAGES[:0]}, r"got shape \(0, 8, 6\)"),
        ({"images": np.full((2, 2, 2), np.nan)}, "got NaN or infinity"),
        ({"images": np.full((2, 2, 2), "a")}, "got dtype <U1"),
        ({"images": np.zeros((2, 4, 4, 2))}, r"expected shape \(num_images, height, width, 3\)"),
        ({"num_columns": 0}, "num_columns"),
        ({"backend": "gnuplot"}, "backend"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        plot_image_grid(**{"images": IMAGES} | arguments)
    assert "\n" not in str(caught.value)
