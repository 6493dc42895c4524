"""What can go wrong with data. Every message is for a person: which file, what was expected, what to do.

DataError
├── DataNotFoundError         nothing is where it was looked for
├── DataUnreadableError       it is there, but the system does not let us read it
├── DataDamagedError          a file is not what it should be: truncated, missing, of another shape
│   └── DataUnsafeError       a file that would do something other than hold images
├── DataNotStoredError        what was read or fetched could not be written: no room, no permission
├── DownloadError             the download did not bring the official file
│   └── DownloadCancelledError
└── SelectionError            images that were asked for cannot be chosen (also a ValueError)
"""


class DataError(Exception):
    """Anything about data that a person can be told; `str(error)` is the sentence."""


class DataNotFoundError(DataError):
    """Nothing is where it was looked for."""


class DataUnreadableError(DataError):
    """A file or folder is there but cannot be read."""


class DataDamagedError(DataError):
    """A file is truncated, missing beside its siblings, or of another shape than it should be."""


class DataUnsafeError(DataDamagedError):
    """A file that would run code, write elsewhere or fill memory if it were read carelessly."""


class DataNotStoredError(DataError):
    """The disk did not take what was to be written."""


class DownloadError(DataError):
    """The download did not bring the official file."""


class DownloadCancelledError(DownloadError):
    """The download was cancelled; what arrived is kept and the next download continues from there."""


class SelectionError(DataError, ValueError):
    """The images that were asked for cannot be chosen from these."""
