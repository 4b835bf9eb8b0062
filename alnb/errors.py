"""The errors that a person sees: a sentence that says what was wrong, where, and what to do."""


class AlnbError(Exception):
    """Base of every error that alnb raises on purpose; its text is for the person."""


class DataError(AlnbError, ValueError):
    """A scan, a mask, a folder or a dataset is missing, broken or does not fit."""


class ConfigError(AlnbError, ValueError):
    """A setting is unknown, out of range or does not fit another."""


class SessionError(AlnbError):
    """A session or its journal cannot be read, written or advanced that way."""


class TrainerError(AlnbError):
    """The training process failed, died or was asked for what it cannot do."""
