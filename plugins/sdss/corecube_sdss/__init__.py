"""The instrument `sdss`: imaging frames and spectra of the Sloan Digital Sky Survey."""
