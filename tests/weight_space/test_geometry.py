from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import soup_core as sc
from soup_core.charts.geometry import Shown, map_scatter, pair_heatmap
from soup_core.runtime.store import Store
from soup_core.weight_space import gram
from soup_core.weight_space.gram import angles, cosines, distances
from soup_core.weight_space.maps import Map, clustered_order, mds_map, pca_map
from soup_core.weight_space.streaming import stream
from tests.zoos import random_deeps, vector, write_zoo

PARAMETERS = (
    "stem.weight", "stem.bias", "norm.weight", "norm.bias", "hidden.weight", "hidden.bias", "head.weight", "head.bias",
)  # fmt: skip


def opened(folder: Path, *, base: bool) -> tuple[sc.Zoo, dict[str, dict[str, Tensor]]]:
    files = random_deeps(4)
    if not base:
        del files["base"]
    return sc.open_zoo(write_zoo(folder, files, architecture="test_deep")), files


def differences(files: Mapping[str, Mapping[str, Tensor]], names: list[str]) -> Tensor:
    """Rows in float64: the ingredients' differences from the base, or from their mean, then that origin itself."""
    rows = {name: vector(file, names) for name, file in files.items()}
    origin = rows.pop("base") if "base" in rows else torch.stack(list(rows.values())).mean(0)
    return torch.stack([*(row - origin for row in rows.values()), origin])


@pytest.fixture(params=["whole", "small slices", "blocks of seven"])
def slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "small slices":
        monkeypatch.setattr(gram, "SLICE_BYTES", 1)
    elif request.param == "blocks of seven":
        monkeypatch.setattr(gram, "stream", lambda *given, **more: stream(*given, **{**more, "block": 7}))
    return str(request.param)


@pytest.mark.parametrize("base", [True, False])
def test_the_gram_matrices_are_the_dense_ones(tmp_path: Path, base: bool, slices: str) -> None:
    zoo, files = opened(tmp_path / "z", base=base)
    found = sc.gram(zoo, Store(tmp_path / "s"))
    assert (found.names, found.has_base, set(found.tensors)) == (zoo.names, base, set(PARAMETERS))
    for chosen in [[name] for name in PARAMETERS] + [list(PARAMETERS), ["head.bias", "stem.weight"]]:
        rows = differences(files, chosen)
        wanted = (rows @ rows.T).numpy()
        np.testing.assert_allclose(found.whole(chosen), wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.differences(chosen), wanted[:-1, :-1], rtol=1e-12, atol=1e-12)
        weights = torch.stack([vector(files[name], chosen) for name in zoo.names])
        np.testing.assert_allclose(found.raw(chosen), (weights @ weights.T).numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.whole(), found.whole(PARAMETERS))


def test_cosines_are_those_of_the_dense_vectors() -> None:
    rows = torch.randn(5, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=2)
    np.testing.assert_allclose(cosines((rows @ rows.T).numpy()), wanted.numpy(), atol=1e-12)
    unmoved = cosines(np.array([[4.0, 0.0], [0.0, 0.0]]))
    assert unmoved.tolist() == [[1, 0], [0, 0]]
    assert cosines(np.array([[1.0, 1.0 + 1e-12], [1.0 + 1e-12, 1.0]])).max() == 1


def test_row_45_a_gram_matrix_is_read_from_the_store_unless_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, _ = opened(tmp_path / "z", base=True)
    store = Store(tmp_path / "s")
    first = sc.gram(zoo, store)
    passes = []
    monkeypatch.setattr(
        gram, "stream", lambda *given, **more: passes.append("files are read") or stream(*given, **more)
    )
    again = sc.gram(sc.open_zoo(zoo.folder), Store(tmp_path / "s"))
    assert not passes
    assert (again.names, again.has_base) == (first.names, first.has_base)
    assert list(again.tensors) == list(first.tensors)
    assert all(np.array_equal(again.tensors[name], first.tensors[name]) for name in PARAMETERS)
    store._write(("UPDATE tensors SET content = substr(content, 1, 100)", [()]))
    healed = sc.gram(zoo, store)
    assert len(passes) == 1
    assert all(np.array_equal(healed.tensors[name], first.tensors[name]) for name in PARAMETERS)


def test_a_changed_zoo_has_a_gram_matrix_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    zoo, files = opened(tmp_path / "z", base=True)
    before = sc.gram(zoo, store)
    files["m1"]["head.bias"] += 1
    after = sc.gram(sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep")), store)
    assert not np.array_equal(before.tensors["head.bias"], after.tensors["head.bias"])
    assert np.array_equal(before.tensors["head.weight"], after.tensors["head.weight"])


@pytest.mark.parametrize("base", [True, False])
def test_steps_between_soups_have_the_dense_inner_products(tmp_path: Path, base: bool) -> None:
    zoo, files = opened(tmp_path / "z", base=base)
    found = sc.gram(zoo, Store(tmp_path / "s"))
    mixes = st.dictionaries(st.sampled_from(list(files)), st.floats(-2, 2).filter(bool), min_size=1)
    soups = st.builds(sc.Soup, mixes, st.dictionaries(st.sampled_from(PARAMETERS), mixes, max_size=3))

    def place(soup: sc.Soup) -> Tensor:
        return torch.cat(
            [
                sum(c * files[name][t].double().flatten() for name, c in soup.coefficients_for(t).items())
                for t in PARAMETERS
            ]
        )

    @settings(max_examples=30, deadline=None)
    @given(soups, soups, soups, soups)
    def agrees(a: sc.Soup, b: sc.Soup, c: sc.Soup, d: sc.Soup) -> None:
        first, second = place(b) - place(a), place(d) - place(c)
        scale = 1 + max(float(place(soup).square().sum()) for soup in (a, b, c, d))
        assert found.inner(a, b, c, d) == pytest.approx(float(first @ second), abs=1e-9 * scale)
        assert found.inner(a, b, a, b) == pytest.approx(float(first @ first), abs=1e-9 * scale)

    agrees()


def test_only_an_ingredient_has_a_row(tmp_path: Path) -> None:
    zoo, _ = opened(tmp_path / "z", base=True)
    found = sc.gram(zoo, Store(tmp_path / "s"))
    assert [found.index(name) for name in zoo.names] == [0, 1, 2, 3]
    for name in ("base", "nobody"):
        with pytest.raises(sc.CoefficientError, match="is no ingredient"):
            found.index(name)


def weights(files: Mapping[str, Mapping[str, Tensor]]) -> np.ndarray:
    """Rows in float64: the ingredients' parameters, then the base's where there is one."""
    return torch.stack([vector(file, list(PARAMETERS)) for file in files.values()]).numpy()


def mixed(files: Mapping[str, Mapping[str, Tensor]], soup: sc.Soup) -> np.ndarray:
    parts = [
        sum(c * files[name][t].double().flatten() for name, c in soup.coefficients_for(t).items()) for t in PARAMETERS
    ]
    return torch.cat(parts).numpy()


SOUPS = [
    sc.Soup({"m2": 1.0}),
    sc.Soup({"m0": 0.25, "m1": 0.25, "m2": 0.25, "m3": 0.25}),
    sc.Soup({"m0": 1.7, "m3": -0.7}),
    sc.Soup({"m0": 0.5, "m1": 0.5}, {"hidden.weight": {"m3": 0.2, "m1": 0.8}}),
    sc.Soup({"m1": 0.5, "m3": 0.5}, batch_norm="first"),
]
BASED = [sc.Soup({"base": 1.0}), sc.Soup({"base": 0.6, "m1": 0.4}, {"stem.bias": {"base": 1.0}})]


@pytest.mark.parametrize("base", [True, False])
def test_angles_and_distances_are_those_of_the_flattened_weights(tmp_path: Path, base: bool) -> None:
    zoo, files = opened(tmp_path / "z", base=base)
    found = sc.gram(zoo, Store(tmp_path / "s"))
    rows = weights(files)
    origin = rows[-1] if base else rows.mean(0)
    for i in range(4):
        for j in range(4):
            assert distances(found)[i, j] == pytest.approx(np.linalg.norm(rows[i] - rows[j]), rel=1e-9)
            a, b = rows[i] - origin, rows[j] - origin
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert angles(found)[i, j] == pytest.approx(0 if i == j else np.degrees(np.arccos(cosine)), rel=1e-9)
    head = vector(files["m0"], ["head.bias"]) - vector(files["m1"], ["head.bias"])
    assert distances(found, ["head.bias"])[0, 1] == pytest.approx(float(head.norm()), rel=1e-9)


def test_what_has_not_moved_has_no_angle(tmp_path: Path) -> None:
    files = random_deeps(3)
    files["m1"] = files["base"]
    found = sc.gram(sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep")), Store(tmp_path / "s"))
    degrees = angles(found)
    assert np.isnan(degrees).tolist() == [[False, True, False], [True, False, True], [False, True, False]]
    assert set(clustered_order(found.names, degrees)) == set(found.names)


def test_the_order_puts_like_beside_like() -> None:
    places = np.array([0.0, 10.0, 1.0, 11.0, 0.4, 10.5, 30.0])
    order = clustered_order("abcdefg", np.abs(places[:, None] - places[None]))
    assert list(order) in (list("aecbfdg"), list("gdfbcea"))
    assert clustered_order(("one",), np.zeros((1, 1))) == ("one",)
    assert clustered_order(("one", "two"), np.ones((2, 2))) == ("one", "two")


def same_up_to_signs(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The signs that turn `wanted` into `found`, axis by axis."""
    signs = np.sign((found * wanted).sum(0))
    np.testing.assert_allclose(found, wanted * signs, atol=1e-7)
    return signs


@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize("laid", [pca_map, mds_map])
def test_a_map_is_numpys_decomposition_of_the_flattened_weights(
    tmp_path: Path, base: bool, laid: Callable[[sc.Gram], Map]
) -> None:
    zoo, files = opened(tmp_path / "z", base=base)
    found = laid(sc.gram(zoo, Store(tmp_path / "s")))
    rows = weights(files)
    points = rows if laid is mds_map else rows[:4]
    assert found.names == (("m0", "m1", "m2", "m3", "base") if base and laid is mds_map else zoo.names)
    middle = points.mean(0)
    left, values, axes = np.linalg.svd(points - middle, full_matrices=False)
    signs = same_up_to_signs(found.places, (left * values)[:, :2])
    np.testing.assert_allclose(found.shares[:4], (values**2 / (values**2).sum())[:4], atol=1e-9)
    for soup in SOUPS + (BASED if base else []):
        step = mixed(files, soup) - middle
        x, y = signs * (axes[:2] @ step)
        off = np.linalg.norm(step - axes[:2].T @ axes[:2] @ step)
        place = found.place(soup)
        assert (place.x, place.y, place.off) == pytest.approx((x, y, off), abs=1e-6)
    there = found.soup(0.3, -1.2)
    np.testing.assert_allclose(mixed(files, there), middle + (signs * [0.3, -1.2]) @ axes[:2], atol=1e-9)
    for name, (x, y) in zip(found.names, found.places, strict=True):
        place = found.place(sc.Soup({name: 1.0}))
        assert (place.x, place.y) == pytest.approx((x, y), abs=1e-9)


def test_the_mds_map_is_torgersons_of_the_direct_distances_and_gowers_for_further_soups(tmp_path: Path) -> None:
    zoo, files = opened(tmp_path / "z", base=True)
    found = mds_map(sc.gram(zoo, Store(tmp_path / "s")))
    rows = weights(files)
    squares = np.square(rows[:, None] - rows[None]).sum(2)
    centring = np.eye(5) - 1 / 5
    products = -centring @ squares @ centring / 2
    values, vectors = np.linalg.eigh(products)
    values, vectors = values[::-1][:2], vectors[:, ::-1][:, :2]
    signs = same_up_to_signs(found.places, vectors * np.sqrt(values))
    for soup in SOUPS + BASED:
        further = np.square(mixed(files, soup) - rows).sum(1)
        gower = signs * ((np.diag(products) - further) @ vectors / np.sqrt(values) / 2)
        place = found.place(soup)
        assert (place.x, place.y) == pytest.approx(tuple(gower), abs=1e-7)
    drawn = np.linalg.norm(found.places[:, None] - found.places[None], axis=2)
    true = np.sqrt(squares)
    above, below = (
        sum(f(i, j) for i in range(5) for j in range(i))
        for f in (lambda i, j: (true[i, j] - drawn[i, j]) ** 2, lambda i, j: true[i, j] ** 2)
    )
    assert found.stress == pytest.approx(np.sqrt(above / below), abs=1e-9)
    assert found.stress > 0.01


@pytest.mark.parametrize("count", [1, 2])
def test_a_map_of_few_models_has_fewer_axes(tmp_path: Path, count: int) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_deeps(count), architecture="test_deep"))
    found = pca_map(sc.gram(zoo, Store(tmp_path / "s")))
    assert found.places.shape == (count, 2)
    assert not found.places[:, 1].any()
    assert sum(found.shares) == pytest.approx(count - 1)
    assert found.stress == pytest.approx(0, abs=1e-9)
    base = found.place(sc.Soup({"base": 1.0}))
    assert base.off > 0
    assert base.y == 0


def test_soups_without_a_place_are_refused(tmp_path: Path) -> None:
    zoo, _ = opened(tmp_path / "z", base=False)
    for laid in (pca_map, mds_map):
        found = laid(sc.gram(zoo, Store(tmp_path / "s")))
        with pytest.raises(sc.CoefficientError, match="re-estimated"):
            found.place(sc.Soup({"m0": 1.0}, batch_norm="re-estimated"))
        for stranger in ("base", "nobody"):
            with pytest.raises(sc.CoefficientError, match="is no ingredient"):
                found.place(sc.Soup({"m0": 0.5, stranger: 0.5}))


def test_heatmaps_show_the_cores_numbers_in_the_order_asked_for(tmp_path: Path) -> None:
    zoo, _ = opened(tmp_path / "z", base=True)
    found = sc.gram(zoo, Store(tmp_path / "s"))
    order = ("m3", "m0", "m2", "m1")
    matrix = angles(found)
    matrix[0, 2] = matrix[2, 0] = np.nan
    trace = pair_heatmap(found.names, matrix, order, quantity="angle").data[0]
    for row, a in enumerate(order):
        for column, b in enumerate(order):
            wanted = matrix[found.index(a), found.index(b)]
            assert trace.customdata[row][column][:2] == [a, b]
            if {a, b} == {"m0", "m2"}:
                assert trace.z[row][column] is None
                assert trace.customdata[row][column][4] == "not known"
            else:
                assert trace.z[row][column] == wanted
                assert trace.customdata[row][column][4] == f"{wanted:.1f}°"
    known = np.delete(matrix[~np.eye(4, dtype=bool)], np.flatnonzero(np.isnan(matrix[~np.eye(4, dtype=bool)])))
    assert (trace.zmin, trace.zmax) == (known.min(), known.max())  # the diagonal's zeros do not take up the colours
    alone = pair_heatmap(("a",), np.zeros((1, 1)), ("a",), quantity="distance").data[0]
    assert alone.zmin < alone.zmax
    shares = pair_heatmap(("a<b>", "c"), np.array([[0, 0.25], [0.25, 0]]), ("a<b>", "c"), quantity="disagreement")
    assert shares.data[0].z[0][1] == 25
    assert shares.data[0].customdata[0][1][2] == "a&lt;b&gt;"
    assert list(shares.data[0].x) == list(shares.data[0].y) == ["a&lt;b&gt;", "c"]
    assert shares.layout.xaxis.labelalias == {"a&lt;b&gt;": "a&lt;b&gt;", "c": "c"}
    long = pair_heatmap(("m" * 40,), np.zeros((1, 1)), ("m" * 40,), quantity="distance")
    assert list(long.layout.yaxis.labelalias.values()) == ["m" * 17 + "…"]


def test_the_map_is_drawn_where_the_core_places_it(tmp_path: Path) -> None:
    zoo, _ = opened(tmp_path / "z", base=True)
    found = mds_map(sc.gram(zoo, Store(tmp_path / "s")))
    base = Shown("base", "base", found.place(sc.Soup({"base": 1.0})))
    path = [found.place(sc.uniform_soup(zoo, zoo.names[:count])) for count in (1, 2, 3)]
    rates = {"m0": 1e-4, "m1": 1e-3, "m2": 1e-2, "m3": 1e-1}
    figure = map_scatter(found, rates, label="learning_rate", soups=[base], path=path)
    points, way, hexagon = figure.data
    np.testing.assert_allclose(np.transpose([points.x, points.y]), found.places[:4])
    assert list(points.marker.color) == pytest.approx([-4, -3, -2, -1])  # decades are coloured by their logarithm
    assert (way.x, way.y) == (tuple(place.x for place in path), tuple(place.y for place in path))
    assert (hexagon.x[0], hexagon.y[0], hexagon.marker.symbol) == (base.place.x, base.place.y, "hexagon")
    chosen = map_scatter(found, rates, label="rate", selected=["m1", "m3"], yours=path[1]).data
    assert chosen[0].marker.symbol == ("diamond-open", "diamond", "diamond-open", "diamond")
    assert (chosen[-1].name, chosen[-1].x[0], chosen[-1].y[0]) == ("your soup", path[1].x, path[1].y)
    kinds: dict[str, bool | str] = {"m0": True, "m1": False, "m2": True}
    groups = {trace.name: trace for trace in map_scatter(found, kinds, label="flip").data}
    assert {name: [row[0] for row in trace.customdata] for name, trace in groups.items()} == {
        "flip: True": ["m0", "m2"],
        "flip: False": ["m1"],
        "without flip": ["m3"],
    }
    assert len({trace.marker.symbol[0] for trace in groups.values()}) == 3
    assert len({trace.marker.color for trace in groups.values()}) == 3
