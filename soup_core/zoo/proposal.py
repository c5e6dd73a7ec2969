"""A zoo.toml proposed from a folder: which checkpoints belong together, which network they are, what made them.

What cannot be known is a question, not a guess; the proposal is a file that a person can read and correct.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from soup_core.architectures import FOLDED, takes_texts
from soup_core.architectures.recognition import Guess, recognised
from soup_core.architectures.resemblance import resembling
from soup_core.checkpoints import Checkpoint, folded_shapes, parametrized, unwrapped
from soup_core.data import natural_order, text_order
from soup_core.errors import ZooError
from soup_core.runtime.files import listed, shown
from soup_core.zoo.adapters_found import adapters_found, entry_of
from soup_core.zoo.class_files import lists_in, read_names
from soup_core.zoo.class_lists import ClassChoice, ClassList, class_choice
from soup_core.zoo.equal_weights import each_weights_once
from soup_core.zoo.hyperparameters import Settings, found_hyperparameters
from soup_core.zoo.image_folders import class_folders, has_splits
from soup_core.zoo.inspection import InspectedFile
from soup_core.zoo.naming import BASES, ingredient_names, is_base, readable, stem, written
from soup_core.zoo.run_images import image_settings, images_of_runs
from soup_core.zoo.runs import chosen_of_runs
from soup_core.zoo.text_tables import text_labels, text_question, texts_beside, tokenizer_beside
from soup_core.zoo.toml import FORMAT, ZooFile, as_toml, checked, preprocessing_table, write_zoo_file

ORDERS = {"text": text_order, "natural": natural_order}
Shapes = Mapping[str, tuple[int, ...]]
Family = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class ProposedIngredient:
    """A checkpoint that belongs to the zoo: its name there, its file, the part of it that is meant, what made it.

    `image_settings` are what its run says of how it prepared images.
    """

    name: str
    file: Path
    weights: str | None
    hyperparameters: Settings
    image_settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """What zoo.toml will say. `questions` are what a person must answer first, `notices` what was left out and why,
    `image_notices` what is not known for certain of how images were prepared; `are_images_told` where runs or a person have
    said it.

    `members` lie below `folder`, the base among them; `data` is zoo.toml's table of that name; `resemblance` says which
    known network comes near, where none fits. `beside` are the plain values that checkpoints hold beside their weights.
    `class_choice` is what the network's outputs may be; `classes`, where a person has said it, what they are.
    """

    folder: Path
    title: str
    architecture: Mapping[str, Any] | None
    guesses: tuple[Guess, ...]
    base: Path | None
    members: tuple[ProposedIngredient, ...]
    data: Mapping[str, Any]
    notices: tuple[str, ...]
    image_notices: tuple[str, ...] = ()
    are_images_told: bool = False
    resemblance: str = ""
    beside: Mapping[Path, object] = field(default_factory=dict)
    class_choice: ClassChoice = field(default_factory=ClassChoice)
    classes: tuple[str, ...] = ()
    base_asked: str = ""
    texts_asked: str = ""

    @property
    def holds_texts(self) -> bool:
        """Whether texts judge the zoo, as far as that is known."""
        return str(self.data.get("source", "")).startswith("texts:") or _takes_texts(self)

    @property
    def all_notices(self) -> tuple[str, ...]:
        """The notices, those on images last."""
        return (*self.notices, *self.image_notices)

    @property
    def questions(self) -> tuple[str, ...]:
        """What is not known, empty where the file can be written."""
        asked = [self.base_asked] if self.base_asked else []
        if self.architecture is None and not asked:
            asked.append(self.resemblance or "Which network is it? Its tensors fit none that is known.")
        if "source" not in self.data and self.holds_texts:
            asked.append(
                "Which texts judge it? No train, validation and test of labelled texts (CSV, JSON Lines or Parquet) were found "
                "beside the checkpoints; texts:PATH names them."
            )
        elif "source" not in self.data:
            asked.append(
                "Which images judge it? No folder or file of labelled images was found beside the checkpoints."
            )
        if self.texts_asked:
            asked.append(self.texts_asked)
        if self.class_choice.question and not self.classes:
            asked.append(self.class_choice.question)
        return tuple(asked)

    def zoo_file(self) -> ZooFile:
        """The content of zoo.toml. Raises ZooError while there are questions, and for answers that do not fit the format."""
        if self.questions:
            raise ZooError(f"{shown(self.folder)}: {' '.join(self.questions)}")
        base = [_file_table(each, self.folder) for each in self.members if each.file == self.base]
        table = {
            "format": FORMAT,
            "title": readable(self.title),
            "architecture": self.architecture,
            "base": (base[0] if base[0]["weights"] else base[0]["file"]) if base else None,
            "data": self.data,
            "ingredients": [
                {"name": each.name, **_file_table(each, self.folder), "hyperparameters": each.hyperparameters}
                for each in self.members
                if each.file != self.base
            ],
        }
        return checked(ZooFile, table, f"{shown(self.folder)}/zoo.toml")

    def toml(self) -> str:
        """The text of zoo.toml. Raises ZooError as `zoo_file` does."""
        return as_toml(self.zoo_file())

    def write(self, *, replace_old: bool = False) -> Path:
        """Write zoo.toml into the folder. Raises ZooError where one is there already, and while there are questions."""
        content, file = self.zoo_file(), free_zoo_file(self.folder, replace_old=replace_old)
        write_zoo_file(file, content)
        return file


def free_zoo_file(folder: Path, *, replace_old: bool = False) -> Path:
    """The zoo.toml of a folder, to be written. Raises ZooError where one is there already, and is not to be replaced."""
    file = folder / "zoo.toml"
    if file.exists() and not replace_old:
        raise ZooError(f"{shown(file)} is there already; edit it, or say that it is to be replaced (--force).")
    return file


def propose(folder: Path, inspected: Sequence[InspectedFile]) -> Proposal:
    """A proposal from what was looked at: the largest family of equal names and shapes, and all that is known of it.

    Raises ZooError where no file could be opened.
    """
    families: dict[Family, list[InspectedFile]] = {}
    notices = [each.reason for each in inspected if each.reason]
    data, is_data = _data(folder, inspected)
    opened = {each.file: each.checkpoint for each in inspected if each.checkpoint is not None and each.file != is_data}
    soups = [file for file, checkpoint in opened.items() if _is_exported(checkpoint)]
    if soups:
        soup_files = listed((shown(str(file.relative_to(folder))) for file in soups), 3)
        notices.append(f"{soup_files}: exported here, as a soup of others; left out.")
        opened = {file: checkpoint for file, checkpoint in opened.items() if file not in soups}
    adapted = adapters_found(folder, opened)
    notices += adapted.notices
    for each in inspected:
        if each.checkpoint is not None and each.file in opened and each.file not in adapted.left_out:
            bare = unwrapped(each.checkpoint.tensors)  # a run may have been wrapped, and another not
            family = tuple(sorted((new, each.checkpoint.tensors[name].shape) for name, new in bare.items()))
            family = adapted.family if each.file in (*adapted.files, adapted.base) else family
            families.setdefault(family, []).append(each)
    if not families:
        raise ZooError(f"No file of {shown(folder)} can be used. {notices[0] if notices else ''}".strip())
    family = adapted.family if adapted.files else max(families, key=lambda key: (len(families[key]), len(key)))
    members = families.pop(family)
    other_base = None if adapted.files else _base_of_another_head(family, families)
    for other in families.values():
        other = [each for each in other if each is not other_base]
        if not other:
            continue
        other_files = listed((shown(str(each.file.relative_to(folder))) for each in other), 3)
        notices.append(f"{other_files}: other tensors than the {len(members)} that are taken; left out.")
    if other_base:
        notices.append(
            f"{shown(str(other_base.file.relative_to(folder)))} has another head than the {len(members)} that are taken, or "
            "none: as their base it counts in all other tensors."
        )
        members = [other_base, *members]
    beside = {each.file: _beside(each.checkpoint) for each in members if each.checkpoint}
    chosen = chosen_of_runs(folder, {file: held for file, held in beside.items() if file != adapted.base})
    checkpoints = {each.file: each.checkpoint for each in members if each.checkpoint and each.file in chosen.runs}
    files, repeated = each_weights_once(folder, checkpoints)
    notices += [*chosen.notices, *repeated]
    told = {file: {**beside[file], **adapted.settings.get(file, {})} for file in files}
    settings = found_hyperparameters(folder, files, told)
    if adapted.base:  # which stands in no run, and has no settings of its own
        files, settings = [*files, adapted.base], {**settings, adapted.base: {}}
    whole = next(
        {name: info.shape for name, info in each.checkpoint.tensors.items()}
        for each in members
        if each.checkpoint and each is not other_base
    )
    whole = dict(family) if adapted.files else whole
    hints = _hints(settings)
    guesses = recognised(whole, folder, hints=hints) or recognised(dict(family), folder, hints=hints)
    guesses = guesses or _recognised_folded(dict(family), folder, hints)
    near = None if guesses or adapted.base_asked else resembling(whole, folder, hints=hints)
    if near and near.architecture:
        guesses = (Guess(near.architecture, near.message),)
    entries = {file: entry_of(file, folder) for file in files if file != adapted.base}
    called = ingredient_names(folder, {entry: chosen.runs[file] for file, entry in entries.items()})
    names = {file: called[entries[file]] if file in entries else BASES[0] for file in files}
    bases = (file for file in files if is_base(names[file]) or "initiali" in str(settings[file].get("info")))
    base = adapted.base if adapted.files else next(bases, None) if len(files) > 1 else None
    weights = {each.file: each.weights for each in members}
    ingredients = tuple(
        ProposedIngredient(names[file], file, weights[file], settings[file], image_settings(folder, file, beside[file]))
        for file in files
    )
    proposal = Proposal(folder, folder.resolve().name, None, guesses, base, ingredients, data, tuple(notices))
    resemblance = near.message if near else ""
    proposal = replace(proposal, resemblance=resemblance, beside=beside, base_asked=adapted.base_asked)
    return with_architecture(proposal, guesses[0].architecture) if guesses else proposal


def with_architecture(proposal: Proposal, architecture: Mapping[str, Any]) -> Proposal:
    """The proposal with this network, and with what is known of the images or texts it expects."""
    proposal = replace(proposal, architecture=dict(architecture))
    if proposal.holds_texts:
        return _with_texts(proposal)
    proposal = replace(proposal, texts_asked="")
    data = {
        key: value for key, value in proposal.data.items() if key not in ("preprocessing", "normalize", "tokenizer")
    }
    runs = {each.file: each.image_settings for each in proposal.members if each.file != proposal.base}
    images = images_of_runs(architecture, proposal.folder, runs)
    if images.proposed is not None:
        preprocessing, normalization = images.proposed
        if str(data.get("source", "")).startswith(("imagefolder:", "torchvision:")):
            data["preprocessing"] = preprocessing_table(preprocessing, proposal.folder)
        data["normalize"] = {"mean": list(normalization.mean), "std": list(normalization.std)}
    changed = replace(
        proposal,
        architecture=dict(architecture),
        data=data,
        image_notices=images.notices,
        are_images_told=images.is_told,
    )
    return _with_class_choice(changed)


def _takes_texts(proposal: Proposal) -> bool:
    try:
        return proposal.architecture is not None and takes_texts(proposal.architecture, proposal.folder)
    except ZooError:  # said when it is built
        return False


def _with_texts(proposal: Proposal) -> Proposal:
    """The proposal of a network of texts with the tables that lie there, their columns and a tokenizer, as far as known."""
    data = {
        key: value for key, value in proposal.data.items() if key not in ("preprocessing", "normalize", "tokenizer")
    }
    if not str(data.get("source", "")).startswith("texts:"):
        data.pop("source", None)
        if (path := texts_beside(proposal.folder)) is not None:
            data["source"] = f"texts:{path}"
    asked = ""
    if "source" in data:
        asked = text_question(proposal.folder, data["source"].partition(":")[2], data.get("columns", {}))
        files = [each.file for each in proposal.members]
        tokenizer = tokenizer_beside(proposal.folder, proposal.architecture or {}, files)
        if tokenizer is None:
            asked = asked or (
                "Which tokenizer reads the texts? None lies beside the checkpoints; save the one that they were trained with "
                "there (tokenizer.save_pretrained)."
            )
        elif str((proposal.architecture or {}).get("name")) != f"transformers:{tokenizer}":  # whose own needs no word
            data["tokenizer"] = tokenizer
    changed = replace(proposal, data=data, texts_asked=asked, image_notices=(), are_images_told=True)
    return _with_class_choice(changed)


def with_columns(proposal: Proposal, columns: Mapping[str, str]) -> Proposal:
    """The proposal with these columns of texts: "text", "pair" and "label" by name, "split" too."""
    named = {key: name for key, name in columns.items() if name}
    data = {key: value for key, value in proposal.data.items() if key != "columns"}
    return _with_texts(replace(proposal, data={**data, "columns": named} if named else data))


def with_source(proposal: Proposal, source: str) -> Proposal:
    """The proposal with these images."""
    changed = replace(proposal, data={**proposal.data, "source": source})
    return with_architecture(changed, changed.architecture) if changed.architecture else changed


def with_classes(proposal: Proposal, classes: Sequence[str]) -> Proposal:
    """The proposal with these names of the network's outputs, in their order."""
    return _with_class_choice(replace(proposal, classes=tuple(classes)))


def read_classes(proposal: Proposal, given: str, *, anywhere: bool = False) -> tuple[str, ...]:
    """Names of the outputs as a person gives them: "text" or "natural" order of the class folders, a file, or names.

    A file is a list of classes as trainers leave it, of the proposal's folder or, for whoever owns this machine, `anywhere`;
    names are separated by commas. Raises ZooError where there are none.
    """
    architecture, source = proposal.architecture or {}, str(proposal.data.get("source", ""))
    if given in ORDERS:
        folders = class_folders(proposal.folder, source.partition(":")[2], architecture.get("num_classes", 0))
        if not folders:
            raise ZooError(f"There are no class folders in {source or 'the images'} whose order {given!r} could be.")
        return ORDERS[given](folders)
    file = _file_named(given, proposal.folder, anywhere)
    if file is None:
        listed_names = tuple(name.strip() for name in given.split(","))
        if len(listed_names) != architecture.get("num_classes"):
            raise ZooError(
                f"{shown(given)!r} is no file here, and of the network's {architecture.get('num_classes', 'unknown')} outputs "
                f"it names {len(listed_names)}; expected a list of them, separated by commas, or text or natural."
            )
        return listed_names
    names = read_names(file, architecture.get("num_classes", 0))
    if not names:
        raise ZooError(
            f"{shown(file)} is no list of the network's {architecture.get('num_classes', 'unknown')} classes; expected a "
            "line each, or a list or table of them in JSON or YAML."
        )
    return names[0]


def _file_named(given: str, folder: Path, anywhere: bool) -> Path | None:
    try:
        inside = (folder / given).resolve()
        places = [inside] if inside.is_relative_to(folder.resolve()) else []
        return next((file for file in ([Path(given)] if anywhere else []) + places if file.is_file()), None)
    except (OSError, RuntimeError, ValueError):  # no path at all
        return None


def _with_class_choice(proposal: Proposal) -> Proposal:
    """The proposal with the names of its network's outputs, where they are more than the class folders in their usual order."""
    data = {key: value for key, value in proposal.data.items() if key != "classes"}
    kind, _, path = str(data.get("source", "")).partition(":")
    choice = ClassChoice()
    usual: tuple[str, ...] = ()
    if proposal.architecture and kind == "imagefolder":
        num_classes, files = proposal.architecture["num_classes"], [each.file for each in proposal.members]
        usual = class_folders(proposal.folder, path, num_classes)
        choice = class_choice(proposal.folder, files, usual, num_classes, proposal.beside)
    if proposal.architecture and kind == "texts":
        usual, choice = _class_choice_of_texts(proposal, path)
    decided = proposal.classes or (choice.lists[0].classes if choice.lists and not choice.question else ())
    if decided and decided != usual:
        data["classes"] = list(decided)
    return replace(proposal, data=data, class_choice=choice)


def _class_choice_of_texts(proposal: Proposal, path: str) -> tuple[tuple[str, ...], ClassChoice]:
    """The labels of texts by name, and what the outputs may be: numbers are outputs, whose names a configuration may have."""
    assert proposal.architecture is not None, "there are no outputs without a network"
    files, num_classes = [each.file for each in proposal.members], int(proposal.architecture["num_classes"])
    labels = text_labels(proposal.folder, path, proposal.data.get("columns", {}))
    if all(isinstance(label, int) for label in labels):
        places = dict.fromkeys(file.parent for file in files)
        names = [each for place in places for file in lists_in(place) for each in read_names(file, num_classes)]
        listed_names = [ClassList(names[0], "named", "a configuration names them")] if len(set(names)) == 1 else []
        return (), ClassChoice(tuple(listed_names))
    usual = tuple(sorted(map(str, labels)))
    choice = class_choice(proposal.folder, files, usual, num_classes, proposal.beside)
    return usual, replace(choice, question=choice.question.replace("class folders", "labels"))


def with_base(proposal: Proposal, base: str | None) -> Proposal:
    """The proposal with another base, by its name or its file's, or with none. Raises ZooError for an unknown one."""
    for each in proposal.members:
        if base in (each.name, each.file.name, written(each.file, proposal.folder)):
            return replace(proposal, base=each.file)
    if base is not None:
        raise ZooError(f"No file of {shown(proposal.folder)} that fits is called {base!r}.")
    return replace(proposal, base=None)


def _base_of_another_head(family: Family, others: Mapping[Family, Sequence[InspectedFile]]) -> InspectedFile | None:
    """The file that calls itself a base and differs from the family in one or two modules alone, which its head may be."""
    shapes = dict(family)
    for other, files in others.items():
        found = dict(other)
        differing = {name for name, shape in shapes.items() if found.get(name) != shape}
        tops = {name.partition(".")[0] for name in differing}
        few = len({name.rpartition(".")[0] for name in differing}) <= 2 and 2 * len(differing) < len(shapes)
        if few and all(name in shapes or name.partition(".")[0] in tops for name in found):
            for each in files:
                if is_base(stem(each.file.name)) or is_base(each.file.parent.name):
                    return each
    return None


def _is_exported(checkpoint: Checkpoint) -> bool:
    """Whether a file holds a soup that was exported here, whose recipe stands in it."""
    try:
        note = json.loads(checkpoint.metadata.get("soup_core", ""))
    except (ValueError, RecursionError):
        return False
    return isinstance(note, dict) and "soup" in note


def _beside(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a file holds beside its weights; "soup_core" is our own note in one made from a file of torch.save, or a recipe."""
    metadata = {key: value for key, value in checkpoint.metadata.items() if key != "soup_core"}
    return {**metadata, **getattr(checkpoint, "beside", {})}


def _recognised_folded(shapes: Shapes, folder: Path, hints: Sequence[str]) -> tuple[Guess, ...]:
    """The networks that take these tensors once weights that are kept in parts are folded, each with that choice."""
    if not (found := parametrized(shapes)):
        return ()
    kinds = " and ".join(dict.fromkeys(each.kind for each in found))
    why = f"Its files keep {len(found)} weights in parts ({kinds}), which are folded."
    return tuple(
        replace(guess, architecture={**guess.architecture, FOLDED: True}, why=f"{guess.why} {why}")
        for guess in recognised(folded_shapes(shapes), folder, hints=hints)
    )


def _hints(settings: Mapping[Path, Settings]) -> tuple[str, ...]:
    """Names of networks that the runs' own settings tell."""
    names = [run.get(key) for run in settings.values() for key in ("model", "arch", "architecture")]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _data(folder: Path, inspected: Sequence[InspectedFile]) -> tuple[dict[str, Any], Path | None]:
    """The images beside the checkpoints, as zoo.toml's table, and the file among those looked at that holds them."""
    for each in inspected:
        if each.checkpoint is not None and {"held_out.images", "held_out.labels"} <= set(each.checkpoint.tensors):
            return {"source": f"tensors:{written(each.file, folder)}"}, each.file
    for parent in (folder, *sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
        if has_splits(parent):
            return {"source": f"imagefolder:{written(parent, folder)}"}, None
    return {}, None


def _file_table(each: ProposedIngredient, folder: Path) -> dict[str, str | None]:
    return {"file": written(entry_of(each.file, folder), folder), "weights": each.weights}
