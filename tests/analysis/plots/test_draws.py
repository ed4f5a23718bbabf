import io

import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.analysis.plots.draws import plot_draws
from tests.analysis.plots.backends import BACKENDS, close_figures, figure_title, panel  # noqa: F401

pytestmark = pytest.mark.usefixtures("close_figures")
RNG = np.random.default_rng(0)
POINTS = {name: scale * RNG.normal(size=(30, 2)) + [1, 5] for name, scale in (("data", 1), ("wide", 9), ("flow", 1))}
BITS = {name: RNG.integers(0, 2, size=(12, 20)) for name in ("data", "vae", "iwae", "diffusion")}
IMAGES = {"data": RNG.integers(0, 17, size=(5, 4, 3)), "vae": RNG.normal(8, 20, size=(5, 4, 3))}
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def image(shown):
    (drawn,) = shown.images
    return drawn


@every_backend
def test_points_of_all_methods_in_the_limits_of_the_first(backend):
    collection = plot_draws(POINTS, title="roll", backend=backend)
    assert figure_title(collection) == "roll"
    shown = {name: panel(collection, "x_0", member=name) for name in POINTS}
    for name, points in POINTS.items():
        np.testing.assert_array_equal(*shown[name].points, points)
        assert shown[name].title == name
        assert shown[name].equal_axes
    (limits,) = {each.view for each in shown.values()}
    widths = np.ptp(limits, axis=1)
    assert widths[0] == pytest.approx(widths[1])
    extents = np.ptp(POINTS["data"], axis=0)
    assert widths[0] == pytest.approx(1.16 * extents.max())
    for (low, high), values in zip(limits, POINTS["data"].T, strict=True):
        assert low < values.min() <= values.max() < high
        assert (low + high) / 2 == pytest.approx((values.min() + values.max()) / 2)


@every_backend
def test_sequences_are_rows_of_cells(backend):
    collection = plot_draws(BITS, backend=backend)
    for name, rows in BITS.items():
        shown = panel(collection, "x_0", member=name)
        np.testing.assert_array_equal(image(shown).values, rows)
        assert image(shown)[1:] == ((-0.5, 19.5, 11.5, -0.5), (0, 1), "black")
        assert shown.view == ((-0.5, 19.5), (11.5, -0.5))  # the first draw on top
        assert shown.title == name
        assert not shown.equal_axes
        assert list(shown.x_ticks) == [4, 9, 14, 19]  # the cells of 5, 10, 15 and 20


@every_backend
def test_images_stand_in_a_square_on_the_scale_of_the_first(backend):
    collection = plot_draws(IMAGES, backend=backend)
    for name, images in IMAGES.items():
        shown = panel(collection, "x_0", member=name)
        mosaic = image(shown).values
        assert mosaic.shape == (2 * 5 - 1, 3 * 4 - 1)
        filled = np.zeros(mosaic.shape, bool)
        for i, each in enumerate(images):
            place = np.s_[5 * (i // 3) : 5 * (i // 3) + 4, 4 * (i % 3) : 4 * (i % 3) + 3]
            np.testing.assert_array_equal(mosaic[place], each)
            filled[place] = True
        assert np.isnan(mosaic[~filled]).all()
        assert image(shown).limits == (IMAGES["data"].min(), IMAGES["data"].max())
        assert shown.equal_axes
        assert shown.title == name


@every_backend
@pytest.mark.parametrize("axis", [-1, 1], ids=["channels last", "channels first"])
def test_images_in_colours(backend, axis):
    """Red is red, on the scale of the first, wherever the channels are."""
    images = RNG.integers(0, 256, size=(4, 5, 6, 3))
    images[0], images[1] = 0, 255
    collection = plot_draws({"data": np.moveaxis(images, -1, axis)}, backend=backend)
    shown = image(panel(collection, "x_0", member="data")).values
    assert shown.shape == (11, 13, 4)
    places = [np.s_[6 * (i // 2) : 6 * (i // 2) + 5, 7 * (i % 2) : 7 * (i % 2) + 6] for i in range(4)]
    for place, each in zip(places, images, strict=True):
        np.testing.assert_allclose(shown[place][..., :3], each / 255, atol=1e-6)
        assert (shown[place][..., 3] == 1).all()
    assert shown[..., 3].sum() == 4 * 30


@pytest.mark.parametrize("columns", [None, ["x", "y"]])
def test_vectors_are_drawn_in_pairs(columns):
    """Real vectors of other lengths than 2, and those whose columns have names."""
    values = RNG.normal(size=(30, 3 if columns is None else 2))
    collection = plot_draws({"data": values, "more": values[:20]}, columns=columns, backend="none")
    assert collection.viz["plot"].shape == values.shape[1:] * 2


def test_a_plane_of_unlike_sides_has_two_scales():
    long = RNG.normal(size=(50, 2)) * [1, 1000]
    shown = panel(plot_draws({"data": long}, backend="none"), "x_0", member="data")
    assert not shown.equal_axes
    for (low, high), values in zip(shown.view, long.T, strict=True):
        assert low < values.min() <= values.max() < high
        assert high - low < 1.5 * np.ptp(values)


@every_backend
@pytest.mark.parametrize("values", [np.zeros((1, 2)), np.zeros((3, 5)), np.full((1, 1, 1), True)])
def test_draws_that_are_all_alike(backend, values):
    shown = panel(plot_draws({"constant": values}, backend=backend), "x_0", member="constant")
    assert len(shown.points) + len(shown.images) == 1
    if shown.points:
        assert shown.view == ((-1, 1), (-1, 1))


@pytest.mark.parametrize(("wide", "layout"), [(3, (2, 3)), (2, (2, 2)), (9, (1, 4))])
def test_panels_wrap(wide, layout):
    collection = plot_draws(BITS, num_panels_wide=wide, backend="none")
    places = [
        tuple(int(collection.viz[place].sel(member=name)) for place in ("row_index", "col_index")) for name in BITS
    ]
    assert places == [divmod(i, layout[1]) for i in range(4)]
    width, height = collection.viz["figure"].item()["figsize"]
    assert width == pytest.approx(min(1000, 500 * layout[1]))
    assert height / layout[0] == pytest.approx(width / layout[1] * 12 / 20 + 40)


@pytest.mark.parametrize("draws", [POINTS, BITS, IMAGES], ids=["points", "bits", "images"])
def test_the_picture_is_drawn_without_a_warning(draws):
    plot_draws(draws, title="all", backend="matplotlib").viz["figure"].item().savefig(
        io.BytesIO(), format="png", dpi=30
    )


@pytest.mark.parametrize(
    ("draws", "options", "message"),
    [
        ({}, {}, r"draws: expected arrays .*, got none"),
        ({"a": 1.0}, {}, r"got a \(\)"),
        ({"a": np.zeros((0, 2))}, {}, r"got a \(0, 2\)"),
        ({"a": np.zeros((2, 0))}, {}, r"got a \(2, 0\)"),
        ({"a": np.zeros((2, 4, 5, 6))}, {}, "draws"),
        ({"a": np.zeros((4, 2)), "b": np.zeros((5, 2))}, {}, r"got a \(4, 2\), b \(5, 2\)"),
        ({"a": np.zeros((4, 2)), "b": np.full((4, 2), np.nan)}, {}, r"draws\['b'\]: expected finite"),
        (BITS, {"num_panels_wide": 0}, "num_panels_wide"),
        (BITS, {"backend": "gnuplot"}, "backend"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input(draws, options, message):
    with pytest.raises(InputError, match=message) as caught:
        plot_draws(draws, **options)
    assert "\n" not in str(caught.value)
