"""A zoo of outputs: what models say of labelled images, as files of numbers, without the models' weights."""

from soup_core.zoo.outputs.opening import files_of_outputs, open_outputs, outputs_from, outputs_zoo_folder
from soup_core.zoo.outputs.outputs import LabelledSplit, OutputsModel, OutputsZoo

__all__ = [
    "LabelledSplit",
    "OutputsModel",
    "OutputsZoo",
    "files_of_outputs",
    "open_outputs",
    "outputs_from",
    "outputs_zoo_folder",
]
