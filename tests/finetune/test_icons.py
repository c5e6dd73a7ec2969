"""Icons: which sets and names count, near copies and bold drawings, and parts that share no family's drawing of a thing."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import soup_core as sc
from soup_core.data import ICONS, bundled_set
from soup_core.data.packed_images import write_packed
from soup_core.finetune import bundled
from soup_core.finetune.bundled import building
from soup_core.finetune.icons import drawing, parting
from soup_core.finetune.icons.collections import icon_sets, icons_of
from soup_core.finetune.icons.concepts import concepts, plain_name
from soup_core.finetune.icons.notices import licence_rows, licence_texts, notices


def entry(spdx: str, **others: object) -> dict[str, object]:
    return {"name": "Set", "author": {"name": "Ann <b>"}, "license": {"spdx": spdx, "url": "https://a.b/L"}, **others}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An unpacked @iconify/json: three sets of which one may be used, that draws a moon in two styles and an arrow."""
    folder = tmp_path / "package"
    (folder / "json").mkdir(parents=True)
    sets = {"ours": entry("MIT"), "copyleft": entry("GPL-3.0"), "painted": entry("MIT", palette=True)}
    sets["brands"] = entry("CC0-1.0", category="Logos")
    (folder / "collections.json").write_text(json.dumps(sets))
    moons = {name: {"body": f"<g id='{name}'/>"} for name in ("moon", "moon-filled", "arrow-left-24", "moon-off")}
    moons["tall"] = {"body": "<g/>", "height": 32, "hidden": True}
    (folder / "json" / "ours.json").write_text(json.dumps({"width": 24, "height": 16, "icons": moons}))
    return folder


def test_sets_count_by_licence_colour_and_kind(package: Path) -> None:
    assert [(each.prefix, each.licence, each.author) for each in icon_sets(package)] == [("ours", "MIT", "Ann <b>")]
    with pytest.raises(sc.DataError, match="npm pack @iconify/json"):
        icon_sets(package / "json")


def test_an_icon_is_drawn_in_a_square_and_hidden_ones_are_left_out(package: Path) -> None:
    icons = dict(icons_of(package, "ours"))
    assert list(icons) == ["moon", "moon-filled", "arrow-left-24", "moon-off"]
    assert 'viewBox="0.0 -4.0 24 24"' in icons["moon"]


def test_every_name_shows_one_concept_and_every_set_is_of_one_family() -> None:
    table = concepts()
    assert all(plain_name(name) == name for name in table.by_name)
    assert set(table.by_name.values()) == set(table.names)
    assert list(table.names) == sorted(table.names)
    assert (table.family("mdi"), table.family("carbon")) == ("material", "carbon")


def pictures(*inks: int) -> list[drawing.Picture]:
    """Pictures of so many drawn pixels, row by row, of which the larger hold the smaller."""
    made = np.zeros((len(inks), drawing.SIDE**2), np.uint8)
    for row, ink in zip(made, inks, strict=True):
        row[:ink] = 255
    return list(made.reshape(-1, drawing.SIDE, drawing.SIDE))


def test_near_copies_and_empty_pictures_are_left_out() -> None:
    assert drawing.without_copies(pictures(100, 105, 120, 1, 100)) == [0, 2]
    assert drawing.without_copies([]) == []


def test_the_share_with_the_most_ink_is_bold() -> None:
    assert drawing.is_bold(pictures(50, 10, 40, 20, 30), 0.4) == [True, False, True, False, False]


def test_no_family_s_drawing_of_a_thing_lies_in_two_parts_and_no_filled_one_is_trained_on(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each icon's picture is as bright as its name says, so that what was parted is known again."""
    bright = {"moon": 60, "moon-filled": 250}

    def drawn(svg: str) -> drawing.Picture:
        name = svg.split("'")[1]
        return np.full((drawing.SIDE, drawing.SIDE), bright.get(name, 100), np.uint8)

    monkeypatch.setattr(parting, "drawn", drawn)
    monkeypatch.setattr(parting, "BOLD_SHARE", 0.5)
    monkeypatch.setattr(parting, "PRETRAIN_SETS", 1)
    for part in ("train", "held_out", "test"):
        monkeypatch.setattr(parting, "part_of", lambda family, concept, part=part: part)
        found = parting.parted_icons(package)
        seen = {name: images[:, 0, 0, 0].tolist() for name, (images, _) in found.parts.items()}
        assert sorted(seen.pop("pretrain")) == [100]  # a moon that is off is another thing
        assert sorted(seen.pop(part)) == [60, 100]
        assert seen == ({} if part == "train" else {"shift.filled": [250]})
        assert found.counts == {"ours": 2 if part == "train" else 3}


def test_parts_are_by_chance_of_the_names_and_as_large_as_they_should_be() -> None:
    counts = Counter(parting.part_of(str(family), "moon") for family in range(20_000))
    assert {part: round(count / 20_000, 1) for part, count in counts.items()} == {
        "train": 0.3, "held_out": 0.3, "test": 0.4,
    }  # fmt: skip


def test_notices_name_every_author_and_hold_every_licence_once(package: Path, tmp_path: Path) -> None:
    (tmp_path / "licenses").mkdir()
    (tmp_path / "licenses" / "MIT.json").write_text(json.dumps({"licenseText": "Permission is granted"}))
    rows = licence_rows(icon_sets(package), {"ours": 3})
    text = notices(rows, licence_texts(tmp_path, ["MIT"]), "1.2.3")
    assert "Set: Ann <b>; MIT; 3 icons; https://a.b/L" in text
    assert (text.count("Permission is granted"), "@iconify/json 1.2.3" in text) == (1, True)
    with pytest.raises(sc.DataError, match="npm pack spdx-license-list"):
        licence_texts(tmp_path, ["ISC"])


def test_the_bundled_icons_are_apart_and_their_licences_are_told() -> None:
    icons = bundled_set("icons")
    assert icons is not None
    found = {name: icons.read(name) for name in ("train", "held_out", "test", "shift.filled")}
    seen = {name: {image.numpy().tobytes() for image in packed.tensor} for name, (packed, _) in found.items()}
    parts = [(a, b) for a in seen for b in seen if a < b]
    assert {(a, b): len(seen[a] & seen[b]) for a, b in parts} == dict.fromkeys(parts, 0)
    assert len(found["test"][1]) >= 3000
    for _, labels in found.values():
        assert labels.unique().tolist() == list(range(len(icons.classes)))
    text = icons.notice.read_text()
    assert sum(each.images for each in icons.licences) == sum(len(labels) for _, labels in found.values())
    assert all(f"{each.part}: {each.author}; {each.licence};" in text for each in icons.licences)
    pixels = found["train"][0].tensor.double() / 255
    assert float(pixels.mean()) == pytest.approx(icons.normalization.mean[0], abs=1e-4)
    assert float(pixels.std()) == pytest.approx(icons.normalization.std[0], abs=1e-4)


def test_a_zoo_of_icons_is_shifted_by_the_filled_ones_first() -> None:
    icons = bundled_set("icons")
    assert icons is not None
    data = sc.data.Data("icons", Path("."), icons.normalization)
    assert data.shifts()[:2] == ("filled", "noise-1")
    assert data.split("test:filled").digest == icons.read("shift.filled")[0].digest
    assert data.split("test:brightness-1").digest != data.split("test").digest


def test_a_base_learns_other_classes_first_and_then_its_last_layer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the probe leaves as it was is what the same pretraining alone gives."""
    generator = torch.Generator().manual_seed(0)
    parts = {
        name: (
            torch.randint(0, 256, (150, 1, 28, 28), generator=generator, dtype=torch.uint8),
            torch.randint(0, classes, (150,), generator=generator),
        )
        for name, classes in (("pretrain", 7), ("train", 3))
    }
    once = sc.finetune.Hyperparameters(1e-2, 0.01, 1, seed=1)
    planned = bundled.PlannedRun("base", "train", once, pretraining=bundled.Pretraining("pretrain", once))
    trains_on = bundled.TrainingSet("icons", 3, lambda folder: parts, lambda folder: None)
    plan = bundled.Plan("made", {"hidden": 4}, (planned,), trains_on, "float16")
    saved: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(building.checkpoints, "save", lambda file, tensors, recipe: saved.update(tensors))
    threads = torch.get_num_threads()
    try:
        building._train(plan, planned, tmp_path, tmp_path, "cpu")
        torch.manual_seed(1)
        building._network(plan, 3)  # as the run does before
        alone = building._network(plan, 7)
        for _ in building._epochs(plan, alone, parts["pretrain"], once, "cpu"):
            pass
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    learnt = alone.state_dict()
    assert {tensor.dtype for tensor in saved.values()} == {torch.float16}
    assert saved["head.weight"].shape == (3, 4)
    for name in saved.keys() - {"head.weight", "head.bias"}:
        assert torch.equal(saved[name], learnt[name].half())


def test_a_folder_without_the_icons_to_pretrain_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sc.DataError, match=r"soup_core\.finetune\.icons"):
        next(bundled.build("icons", tmp_path, tmp_path / "z", seed=0))
    write_packed(tmp_path, {"pretrain": (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1]))})
    plan = bundled.PLANS["icons"](0)
    plan.trains_on.check(tmp_path)
    assert {name: len(labels) for name, (_, labels) in plan.trains_on.parts(tmp_path).items()} == {
        "pretrain": 2, "train": len(bundled_set("icons").read("train")[1]),  # type: ignore[union-attr]  # it is bundled
    }  # fmt: skip
    assert (ICONS / "train.png").is_file()
