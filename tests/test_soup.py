import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import soup_core as sc
from soup_core.soup import uniform

names = st.sampled_from(list("abcdef"))
values = st.floats(-4, 4).filter(lambda value: abs(value) > 1e-3)
soups = st.dictionaries(names, values, min_size=1).map(sc.Soup)


@given(soups, soups, st.floats(-2, 3))
def test_a_point_on_the_line_has_the_mixed_coefficients(a: sc.Soup, b: sc.Soup, alpha: float) -> None:
    wanted = {
        n: (1 - alpha) * a.coefficients.get(n, 0) + alpha * b.coefficients.get(n, 0) for n in {*a.names, *b.names}
    }
    if a == b or not any(wanted.values()):
        return
    mixed = sc.interpolate(a, b, alpha)
    assert all(math.isclose(mixed.coefficients.get(n, 0), v, abs_tol=1e-12) for n, v in wanted.items())


def test_a_single_model_is_one_with_its_coefficient_at_one() -> None:
    assert sc.Soup.single("a") == sc.Soup({"a": 1.0})
    assert sc.Soup.single("a", batch_norm="first") == sc.Soup({"a": 1.0}, batch_norm="first") != sc.Soup({"a": 1.0})
    assert sc.Soup.single("base").names == ("base",)


@given(soups, soups)
def test_the_ends_of_a_line_are_the_soups_themselves(a: sc.Soup, b: sc.Soup) -> None:
    assert sc.interpolate(a, b, 0) == a
    assert sc.interpolate(a, b, 1) == b


@given(st.sets(names, min_size=1, max_size=5), names)
def test_add_then_drop_gives_the_same_soup_back(members: set[str], other: str) -> None:
    soup = uniform(members)
    if other not in members:
        assert soup.add(other) == uniform({*members, other})
        assert soup.add(other).drop(other) == soup


@given(st.dictionaries(names, st.floats(0.1, 4), min_size=1), st.sampled_from("xyz"))
def test_add_gives_the_average_share_and_keeps_a_sum_of_one(parts: dict[str, float], other: str) -> None:
    total = sum(parts.values())
    soup = sc.Soup({name: value / total for name, value in parts.items()}, batch_norm="first")
    added = soup.add(other)
    assert math.isclose(added.coefficients[other], 1 / (len(parts) + 1))
    assert math.isclose(sum(added.coefficients.values()), 1)
    back = added.drop(other)
    assert back.names == soup.names
    assert all(math.isclose(back.coefficients[name], value) for name, value in soup.coefficients.items())


def test_drop_takes_an_ingredient_out_of_single_tensors_too() -> None:
    soup = sc.Soup({"x": 0.5, "y": 0.25, "z": 0.25}, {"t": {"x": 0.2, "y": 0.8}})
    assert soup.drop("y").names == ("x", "z")
    assert soup.drop("y").coefficients_for("t") == {"x": 1.0}


@given(soups)
def test_json_round_trip(soup: sc.Soup) -> None:
    assert sc.Soup.from_json(soup.to_json()) == soup
    assert hash(sc.Soup.from_json(soup.to_json())) == hash(soup)


def test_zero_is_absence_and_nothing_is_refused() -> None:
    assert sc.Soup({"a": 1.0, "b": 0.0}) == sc.Soup({"a": 1.0})
    with pytest.raises(sc.CoefficientError, match="at least one"):
        sc.Soup({"a": 0.0})
    with pytest.raises(sc.CoefficientError, match="coefficient of a must be a finite number; found nan"):
        sc.Soup({"a": math.nan})
    with pytest.raises(sc.CoefficientError, match="at least one"):
        sc.Soup({"a": 1.0}).drop("a")


def test_per_tensor_coefficients_mix_per_tensor() -> None:
    a = sc.Soup({"x": 1.0}, {"t": {"y": 1.0}})
    middle = sc.interpolate(a, sc.Soup({"y": 1.0}), 0.5)
    assert middle.coefficients_for("t") == {"y": 1.0}
    assert middle.coefficients_for("other") == {"x": 0.5, "y": 0.5}
    assert sc.Soup({"x": 1.0}, {"t": {"x": 1.0}}) == sc.Soup({"x": 1.0})


def test_a_soup_is_frozen() -> None:
    soup = sc.Soup({"a": 1.0})
    with pytest.raises(TypeError, match="does not support item assignment"):
        soup.coefficients["a"] = 2.0  # that it cannot be done is what is tested


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1' + "0" * 400 + "}", r"found '\{\"a\": 1000"),
        ("[" * 200_000, r"found '\[\[\["),
        ("[1]", r"found '\[1\]'"),
        ("{", "found '{'"),
        ('{"a": "1"}', "coefficient of a must be a finite number; found '1'"),
    ],
    ids=["a huge number", "deep", "a list", "torn", "text for a number"],
)
def test_a_soup_from_foreign_text_is_refused_with_a_sentence(text: str, message: str) -> None:
    with pytest.raises(sc.CoefficientError, match=message) as refusal:
        sc.Soup.from_json(text)
    assert len(str(refusal.value)) < 400
