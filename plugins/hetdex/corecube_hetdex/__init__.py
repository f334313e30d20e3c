"""HETDEX: the fibre spectra of VIRUS on the Hobby-Eberly Telescope."""
