"""The version, said once: the package, its exports and its metadata read it here."""

__version__ = "0.2.0"
