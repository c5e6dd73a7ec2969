"""The errors that a user can mend: each says where, what was expected, what was found, what to do.

Pages and the command line catch exactly this family; anything else is a defect of ours.
"""


class SoupError(Exception):
    """Something the user can put right; the message is one plain sentence or two."""


class ZooError(SoupError):
    """A zoo cannot be opened: unknown name, or a zoo.toml that does not fit its format."""


class CheckpointError(SoupError):
    """A checkpoint file is missing, damaged, or does not fit the zoo's architecture."""


class DataError(SoupError):
    """Images or labels are missing, or are not of the shape and type that a split needs."""


class CoefficientError(SoupError):
    """Coefficients that make no soup: an unknown ingredient, none at all, or a number that is not finite."""


class OutOfMemory(SoupError):
    """Not even one image, or one model, fits into the memory of the device."""
