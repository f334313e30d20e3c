"""What SDSS and BOSS files have in common: mask bits, object numbers, spec files."""
