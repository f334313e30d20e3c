"""The instrument `ccdlab`: raw frames of laboratory and classroom CCDs, described in YAML."""
