"""Settings: built-in, files, environment and options, the later ones win.

========================================  ====================================================
source                                    spelling
========================================  ====================================================
built in                                  defaults of the dataclass
the user's file                           ``$XDG_CONFIG_HOME/corecube/config.yaml``, by default
                                          ``~/.config/corecube/config.yaml``
the project's file                        ``corecube.yaml`` in the current folder
``--config FILE``                         any YAML file
environment                               ``CORECUBE_<SECTION>__<KEY>``, two underscores between
                                          section and key and before each nested key, capitals or
                                          not: ``CORECUBE_SDSS__GAIN=4.7``,
                                          ``CORECUBE_PLUGINS__DISABLE=boss,hetdex``
options                                   ``--set sdss.gain=4.7``, ``--set plugins.disable=boss``
========================================  ====================================================

A file has a map per section: the names of instruments, ``ingest``, ``plugins``. A nested
dataclass is merged key by key; a list or a map is replaced as a whole. A value of the
environment or of an option is text; a list is written ``a,b`` or ``[a, b]``, a map
``{key: value}``. A relative path is relative to the folder of the file that names it.
"""

from __future__ import annotations

from corecube.config.declare import about
from corecube.config.plain import fingerprint_fields, from_json, to_json, with_current
from corecube.config.schema import schema, template
from corecube.config.sources import (
    PluginSettings,
    Settings,
    configuration_files,
    load_settings,
    user_file,
)

__all__ = [
    "PluginSettings",
    "Settings",
    "about",
    "configuration_files",
    "fingerprint_fields",
    "from_json",
    "load_settings",
    "schema",
    "template",
    "to_json",
    "user_file",
    "with_current",
]
