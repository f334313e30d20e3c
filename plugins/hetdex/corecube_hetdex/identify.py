"""Say what a file is.

FITS and HDF5 files are known by their content. Of the tables beside them some say nothing of the
shot they belong to, ``radec2_final.dat`` holds three numbers: these are known by their names, and
their shot by the nearest folder ``YYYYMMDDvOOO``. The exposure of an amplifier's file is in the
name of its folder, ``exp01``, else in the card DITHER. Of Cure files only the name tells errors
from data; their headers are the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.shots import FileHead, FileInfo, NotMine
from corecube_hetdex import cure, listkinds, raw, shotfile
from corecube_hetdex.names import AMPS, Amplifier, Exposure, ShotName, exposure_of_path
from corecube_hetdex.names import three_digits as three

CAL_ROWS: Final = 3 * 4 * 112
"""Three exposures of four amplifiers of 112 fibres."""
CAL_COLUMNS: Final = 1036

_CAL_NAME: Final = re.compile(r"(\d{8}v\d{3})_(\d{3})_(\d{3})_(\d{3})_cal\.fits")
_MULTI_HDUS: Final = frozenset(
    {"ERROR", "CLEAN_IMAGE", "SPECTRUM", "WAVELENGTH", "TRACE", "FIBER_TO_FIBER", "SKY_SPECTRUM",
     "SKY_SUBTRACTED", "ERROR1D", "ERROR1DFIB", "TWI_SPECTRUM", "CALFIB"}
)  # fmt: skip
_NAMED: Final = (
    (re.compile(r"radec2_final\.dat"), "radec2"),
    (re.compile(r"radec2_exp(\d\d)\.dat"), "radec2"),
    (re.compile(r"getoff2_exp(\d\d)\.out"), "getoff2"),
    (re.compile(r"all\.mch"), "mch"),
    (re.compile(r"norm\.dat"), "norm"),
    (re.compile(r"d(\d{8})s(\d{3})exp(\d\d)sky\.dat"), "sky"),
    (re.compile(r"\d{8}v\d{3}sedtp_f\.dat"), "throughput"),
    (re.compile(r"(\d{8}v\d{3}\.)?dithall(\.use)?"), "dithall"),
    (re.compile(r"dith_exp(\d\d)\.all"), "dithall"),
)
_COLUMNS: Final = {"radec2": 3, "getoff2": 5, "norm": 3, "sky": 2, "throughput": 6}


def identify(file: FileHead) -> FileInfo | NotMine | None:
    """Say what a file is and what it belongs to.

    Parameters
    ----------
    file : FileHead

    Returns
    -------
    FileInfo, NotMine or None

    Raises
    ------
    FileNotUnderstood
        If it is one of ours and damaged, or of a form that cannot be read.
    """
    if file.head.startswith(b"SIMPLE  ="):
        return _fits(file)
    if file.head.startswith(b"\x89HDF\r\n\x1a\n"):
        return shotfile.identify(file)
    if file.head[257:262] == b"ustar":
        return NotMine("a tar archive, which is not read; unpack it first")
    return _text(file)


def info(file: FileHead, kind: str, key: str = "", entry: str = "", **facts: Any) -> FileInfo:
    """Return what is known of a file."""
    return FileInfo(replace(file.source, kind=kind), key, entry, facts=facts)


def _fits(file: FileHead) -> FileInfo | NotMine | None:
    fits = Fits(file.head, file.source.path, partial=True)
    try:
        header = fits.header(0)
    except FileNotUnderstood as error:
        if b"IFUSLOT =" in file.head:
            raise
        return NotMine(str(error).removeprefix(f"{file.source.path}: "))
    cal = _CAL_NAME.search(file.name)
    if cal is not None:
        return _cal(file, fits, cal)
    if not {"IFUSLOT", "SPECID", "IFUID"} <= set(header):
        if _is_cube(fits):
            return NotMine("a data cube, which is not read yet")
        return NotMine("a FITS file without the cards IFUSLOT, SPECID and IFUID of VIRUS")
    if raw.looks_like_raw(header):
        return raw.identify(file, header)
    if cure.looks_like_cure(header):
        return cure.identify(file, header)
    return _multi(file, fits, header)


def _is_cube(fits: Fits) -> bool:
    if fits.data_offset(1) is None or len(fits) < 2:
        return False
    names = fits.header(1)
    return "WAVE" in {str(names.get(card, "")).strip() for card in ("CTYPE3", "TTYPE3")}


def _cal(file: FileHead, fits: Fits, name: re.Match[str]) -> FileInfo | NotMine:
    shape = fits.shape(0)
    if len(shape) != 2 or shape[1] != CAL_COLUMNS:
        return NotMine(f"named like a cal file, but its image is {shape} instead of wide 1036")
    if shape[0] != CAL_ROWS:
        raise FileNotUnderstood(
            f"{file.source.path}: {shape[0]} rows instead of {CAL_ROWS}: a cal file says only by "
            "the order of its rows which exposure and amplifier they are of; make it whole again"
        )
    return info(file, "cal", name[1], f"{name[2]}_{name[3]}_{name[4]}")


def _multi(file: FileHead, fits: Fits, header: Header) -> FileInfo | NotMine:
    has_image = header.get("NAXIS") == 2 and header.get("BITPIX") == -32
    if not has_image and (header.get("NAXIS") != 0 or not _has_spectra(fits)):
        return NotMine("a file of VIRUS, but neither of extracted spectra nor raw")
    amplifier = amplifier_of(header, file.name)
    if amplifier is None:
        raise FileNotUnderstood(
            f"{file.source.path}: the header does not tell the amplifier (IFUSLOT, SPECID, IFUID, "
            "and AMP, CCDPOS with CCDHALF, or NAME0)"
        )
    date, number = str(header.get("DATE-OBS", ""))[:10].replace("-", ""), header.get("OBSID")
    if not (date.isdecimal() and len(date) == 8 and isinstance(number, int) and 0 <= number < 1000):
        raise FileNotUnderstood(f"{file.source.path}: DATE-OBS and OBSID do not tell the shot")
    exposure = exposure_of_path(file.source.path)
    if not exposure:
        dither = header.get("DITHER")
        exposure = dither if isinstance(dither, int) and 1 <= dither <= 9 else 0
    if not exposure:
        raise FileNotUnderstood(
            f"{file.source.path}: neither a folder 'exp01' nor the card DITHER tells the exposure"
        )
    shot = ShotName(int(date), number)
    return info(file, "multi", str(shot), Exposure(shot, amplifier, exposure).entry)


def _has_spectra(fits: Fits) -> bool:
    if fits.data_offset(1) is None or len(fits) < 2:
        return False
    return str(fits.header(1).get("EXTNAME", "")).strip().upper() in _MULTI_HDUS


def amplifier_of(header: Header, name: str) -> Amplifier | None:
    """Return the amplifier that a header names, None if it does not.

    Parameters
    ----------
    header : Header
    name : str
        Of the file; it has the last word on the half of the detector only.
    """
    numbers = {card: three(header.get(card, "")) for card in ("IFUSLOT", "SPECID", "IFUID")}
    sides = str(header.get("CCDPOS", "")).strip() + str(header.get("CCDHALF", "")).strip()
    named = re.search(r"multi_\d{3}_\d{3}_\d{3}_([LR][LU])", name)
    said = (
        str(header.get("AMP", "")).strip(), sides, str(header.get("NAME0", ""))[21:23],
        named[1] if named else "",
    )  # fmt: skip
    amp = next((part for part in said if part in AMPS), "")
    if not amp or not all(numbers.values()):
        return None
    return Amplifier(numbers["IFUSLOT"], numbers["SPECID"], numbers["IFUID"], amp)


def _text(file: FileHead) -> FileInfo | NotMine | None:
    if b"\0" in file.head[:4096]:
        return NotMine("neither FITS, HDF5 nor text")
    text = file.head.decode("latin-1")
    lines = [words for line in text.splitlines()[:60] if (words := line.split())]
    if not lines:
        return NotMine("an empty file")
    rows = [words for words in lines if not words[0].startswith("#")]
    if rows and len(rows[0]) == 4 and ShotName.of_text(rows[0][0]) and "v" in rows[0][0]:
        shots = [line.split()[0] for line in file.read().decode("latin-1").splitlines() if line]
        return info(file, "fwhm", shots=sorted({s for s in shots if ShotName.of_text(s)}))
    if any("X_FP" in words and "Y_FP" in words for words in lines):
        return _fplane(file)
    named = _by_name(file, rows)
    if named is not None:
        return named
    places = cure.identify_positions(file, rows)
    return places if places is not None else NotMine(listkinds.what_it_is(file.name, lines))


def _fplane(file: FileHead) -> FileInfo | NotMine:
    shot = ShotName.of_path(file.source.path)
    if shot is None or not file.name.startswith("fplane.txt"):
        return NotMine(
            "a table of the focal plane that is not called fplane.txt in a folder YYYYMMDDvOOO: "
            "of which night it is stands nowhere"
        )
    return info(file, "fplane", str(shot))


def _by_name(file: FileHead, rows: list[list[str]]) -> FileInfo | NotMine | None:
    name = file.name
    for ending in (".bz2", ".gz", ".xz"):
        name = name.removesuffix(ending)
    for pattern, kind in _NAMED:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        shot = ShotName.of_path(file.source.path)
        if kind == "sky":
            shot = ShotName(int(match[1]), int(match[2]))
        if shot is None:
            return NotMine(f"a {name} in no folder that names the shot (YYYYMMDDvOOO)")
        if kind in _COLUMNS and (not rows or not _numbers(rows[0], _COLUMNS[kind])):
            return NotMine(f"named {name}, but not {_COLUMNS[kind]} columns of numbers")
        last = match[match.lastindex] if match.lastindex else ""
        entry = f"exp{last}" if last and re.fullmatch(r"\d\d", last) else ""
        return info(file, kind, str(shot), entry)
    return None


def _numbers(words: list[str], count: int) -> bool:
    try:
        [float(word) for word in words[:count]]
    except ValueError:
        return False
    return len(words) >= count
