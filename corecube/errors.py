"""The errors of corecube, one tree.

::

    CorecubeError
     ├── FileNotUnderstood (ValueError)    an input file is damaged or is not what it should be
     ├── ConfigurationError (ValueError)   a setting, option or configuration file is wrong
     ├── QueryError (ValueError)           a position, radius, filter or name cannot be understood
     │    └── AmbiguousName                a name fits several rows
     ├── FrameError (ValueError)           arrays, units or names of a frame do not fit together
     ├── UnitError (ValueError)            a unit is unknown or cannot be converted
     ├── PluginError (RuntimeError)        an instrument plugin failed or cannot be used
     └── ArchiveError (RuntimeError)       the archive cannot do what was asked
          ├── ArchiveMissing               there is no archive at this place
          ├── ArchiveDamaged               bytes of the archive are not what was written
          ├── ArchiveBusy                  another process is writing
          ├── ArchiveTooNew                made by a newer corecube
          ├── ArchiveTooOld                made by an older one, and to be repaired first
          └── NoSpace                      the disk is full

Each class has a stable `code` that reports and documentation use. A message is one line: what
was found, where, and what to do next.
"""

from __future__ import annotations


class CorecubeError(Exception):
    """The root of all errors that a user can mend."""

    code = "error"


class FileNotUnderstood(CorecubeError, ValueError):
    """An input file is damaged, truncated, or not what it should be."""

    code = "file-not-understood"


class ConfigurationError(CorecubeError, ValueError):
    """A setting, an option or a configuration file is wrong."""

    code = "configuration"


class QueryError(CorecubeError, ValueError):
    """A position, a radius, a filter or a name cannot be understood."""

    code = "query"


class AmbiguousName(QueryError):
    """A name fits several shots or rows.

    Parameters
    ----------
    message : str
        One line for the user.
    matches : sequence of str
        The full names that fit.
    """

    code = "ambiguous-name"

    def __init__(self, message: str, matches: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.matches = matches


class FrameError(CorecubeError, ValueError):
    """The arrays, units or names of a frame do not fit together."""

    code = "frame"


class UnitError(CorecubeError, ValueError):
    """A unit is unknown, or one cannot be converted into another."""

    code = "unit"


class PluginError(CorecubeError, RuntimeError):
    """An instrument plugin failed, or cannot be used."""

    code = "plugin"


class ArchiveError(CorecubeError, RuntimeError):
    """The archive cannot do what was asked."""

    code = "archive"


class ArchiveMissing(ArchiveError):
    """There is no archive at this place."""

    code = "archive-missing"


class ArchiveDamaged(ArchiveError):
    """Bytes of the archive are not what was written."""

    code = "archive-damaged"


class ArchiveBusy(ArchiveError):
    """Another process is writing into the archive."""

    code = "archive-busy"


class ArchiveTooNew(ArchiveError):
    """The archive was made by a newer corecube."""

    code = "archive-too-new"


class ArchiveTooOld(ArchiveError):
    """The archive was made by an older corecube; 'corecube repair' brings it up to date."""

    code = "archive-too-old"


class NoSpace(ArchiveError):
    """The disk is full; nothing that was stored before is lost."""

    code = "no-space"
