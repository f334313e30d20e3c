"""``corecube browse``: looking at an archive in a terminal.

The screen never reads: everything that touches the archive runs in one thread of its own
(`loading`), which hands over plain data (`contents`, `rowsources`, `spectra`, `images`, `facts`).
Drawing is done by pure functions on numpy arrays (`canvas`, `ticks`, `braille`, `halfblocks`),
which know no terminal; the widgets turn what they give into lines.
"""
