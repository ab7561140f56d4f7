"""The exception tree: each class says what the caller should do about it."""


class VedError(Exception):
    """Root of all errors that this project raises on purpose."""


class UserError(VedError):
    """Bad input from a person. Show the one line (what, where, what to do) and stop with exit code 2."""


class CorruptDataError(VedError):
    """Bytes that are not what they claim to be. Drop this one item, count it, and go on."""


class UnsupportedVersionError(CorruptDataError):
    """Bytes of a format version that this program does not know. Drop, count, and suggest an upgrade."""


class StorageError(VedError):
    """The disk refused (full, read-only, I/O error). Stop acknowledging, tell people, try again later."""


class LinkRefusedError(VedError):
    """The server refused this car (wrong key, other vehicle, protocol). Do not retry at once; tell the person."""


class LinkLostError(VedError):
    """The connection went away. Reconnect and send again what was not acknowledged."""
