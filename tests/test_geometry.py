from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import soup_core as sc
from soup_core import geometry
from soup_core.averaging import stream
from soup_core.geometry import cosines
from soup_core.store import Store
from tests.conftest import random_deeps, vector, write_zoo

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
        monkeypatch.setattr(geometry, "SLICE_BYTES", 1)
    elif request.param == "blocks of seven":
        monkeypatch.setattr(geometry, "stream", lambda *given, **more: stream(*given, **{**more, "block": 7}))
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
        geometry, "stream", lambda *given, **more: passes.append("files are read") or stream(*given, **more)
    )
    again = sc.gram(sc.open_zoo(zoo.folder), Store(tmp_path / "s"))
    assert not passes
    assert (again.names, again.has_base) == (first.names, first.has_base)
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
            [sum(c * files[name][t].double().flatten() for name, c in soup.of(t).items()) for t in PARAMETERS]
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
