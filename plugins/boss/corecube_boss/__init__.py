"""The instrument `boss`: plates of BOSS and eBOSS, from raw frames to spectra."""
