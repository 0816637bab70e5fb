"""The errors that a person or a calling program is meant to read."""


class LidloopError(Exception):
    """Something the caller can put right. The message says what is wrong and what to do."""


class SourceError(LidloopError):
    """A source of annotations that cannot be used."""


class DatasetError(LidloopError):
    """A dataset or label version on disk that is missing, incomplete or contradicts itself."""


class ModelError(LidloopError):
    """Weights or a bundle that is missing, damaged or of another kind than expected."""


class RegistryError(LidloopError):
    """A registry that is out of reach, or a version that it does not hold."""


class TrainingError(LidloopError):
    """A fine-tune that cannot start or whose result did not pass its checks."""


class ImageError(LidloopError):
    """A picture that is missing, damaged, of an unknown kind or too large."""


class ImageSizeError(ImageError):
    """A picture with more pixels than are read."""


class StoreError(LidloopError):
    """An object store or address that cannot be used, or content that is missing, damaged or in the way."""
