"""Say what a file is.

FITS and HDF5 files are known by their content. Of the tables beside them some say nothing of the
shot they belong to, ``radec2_final.dat`` holds three numbers: these are known by their names, and
their shot by the nearest folder ``YYYYMMDDvOOO``. The exposure of an amplifier's file is in the
name of its folder, ``exp01``, else in the card DITHER. Of Cure files only the name tells errors
from data; their headers are the same.

Companions are read or looked at to their end here, so that a damaged one is named once and its shot
goes on without it, instead of failing with every amplifier that it serves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header
from corecube.shots import FileHead, FileInfo, NotMine
from corecube_hetdex import cal, cure, listkinds, raw, shotfile, texts
from corecube_hetdex.names import AMPS, Amplifier, Exposure, ShotName, exposure_of_path
from corecube_hetdex.names import three_digits as three

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
    (re.compile(r"fplane\.txt"), "fplane"),
    (re.compile(r"d(\d{8})s(\d{3})exp(\d\d)sky\.dat"), "sky"),
    (re.compile(r"\d{8}v\d{3}sedtp_f\.dat"), "throughput"),
    (re.compile(r"(\d{8}v\d{3}\.)?dithall(\.use)?"), "dithall"),
    (re.compile(r"dith_exp(\d\d)\.all"), "dithall"),
)
LARGE: Final = 2**20
"""Bytes of a text up to which it is read wholly to recognise it."""
_TAIL: Final = 4096
_BZ2_END: Final = 0x177245385090
"""Digits of the root of pi, which end the blocks of a .bz2; 32 bits of a checksum follow."""
_HTML: Final = ("<!doctype", "<html", "<?xml")


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
    named = _CAL_NAME.search(file.name)
    if named is not None:
        return _cal(file, fits, named)
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
    if len(shape) != 2 or shape[1] != cal.COLUMNS:
        return NotMine(f"named like a cal file, but its image is {shape} instead of wide 1036")
    if shape[0] != cal.ROWS:
        raise FileNotUnderstood(
            f"{file.source.path}: {shape[0]} rows instead of {cal.ROWS}: a cal file says only by "
            "the order of its rows which exposure and amplifier they are of; make it whole again"
        )
    if not ends_whole(file):
        raise FileNotUnderstood(f"{file.source.path}: is truncated; fetch the file again")
    if not file.packing:
        with file.open() as opened:
            cal.check(opened, file.source.path)
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
    rows = [words for words in lines if not words[0].startswith("#")]
    many = bool(rows) and len(rows[0]) == 4 and ShotName.of_text(rows[0][0]) is not None
    if many or _unpacked_name(file) == "fwhm.all":
        seeing = texts.read_seeing(file.read().decode("latin-1"), file.source.path)
        return info(file, "fwhm", shots=sorted(seeing))
    if any("X_FP" in words and "Y_FP" in words for words in lines):
        return _fplane(file)
    found = _by_name(file) or cure.identify_positions(file)
    if found is not None:
        return found
    if ".h5" in file.name and ShotName.of_text(file.name) is not None:
        raise FileNotUnderstood(
            f"{file.source.path}: named like a shot of a release, but it is no HDF5 file; fetch "
            "the file again"
        )
    if not lines:
        return NotMine("an empty file")
    if lines[0][0].lower().startswith(_HTML):
        return NotMine("a web page or XML")
    return NotMine(listkinds.what_it_is(file.name, lines))


def _fplane(file: FileHead) -> FileInfo | NotMine:
    shot = ShotName.of_path(file.source.path)
    if shot is None or not file.name.startswith("fplane.txt"):
        return NotMine(
            "a table of the focal plane that is not called fplane.txt in a folder YYYYMMDDvOOO: "
            "of which night it is stands nowhere"
        )
    texts.read_fplane(file.read().decode("latin-1"), file.source.path)
    return info(file, "fplane", str(shot))


_READERS: Final[dict[str, Callable[[str, str], object]]] = {
    "fplane": texts.read_fplane,
    "radec2": texts.read_tangent_point,
    "getoff2": lambda text, name: texts.read_numbers(text, 5, name),
    "mch": texts.read_dithers,
    "norm": lambda text, name: texts.read_numbers(text, 3, name),
    "sky": lambda text, name: texts.read_numbers(text, 2, name),
    "throughput": lambda text, name: texts.read_numbers(text, 6, name),
    "dithall": lambda text, name: texts.read_dithall(text.encode("latin-1"), name),
}


def _both_ends(file: FileHead) -> bytes:
    """Return a text, of a large one whole lines of its beginning and end.

    A table of positions of a full shot has 12 MB; where it was cut, its last line shows.
    """
    if file.source.size <= LARGE:
        return file.read()
    head = file.head[: file.head.rfind(b"\n") + 1]
    if file.packing:
        return head
    with file.open() as opened:
        opened.seek(-_TAIL, 2)
        tail = opened.read()
    return head + tail[tail.find(b"\n") + 1 :]


def ends_whole(file: FileHead) -> bool:
    """Say by the last bytes of a packed file of FITS whether it is whole; nothing is unpacked.

    The last bytes are those of .xz a footer, of .bz2 a mark that may begin at any bit, of gzip the
    size of what was packed, which is a multiple of 2880 bytes.

    Returns
    -------
    bool
        True for files that are not packed.
    """
    if not file.packing:
        return True
    with Path(file.source.path).open("rb") as opened:
        opened.seek(max(0, file.source.size - 16))
        last = opened.read()
    if file.packing == "xz":
        return last.rstrip(b"\0").endswith(b"YZ")
    if file.packing == "gzip":
        return int.from_bytes(last[-4:], "little") % 2880 == 0
    bits = int.from_bytes(last, "big")
    return any((bits >> 32 + shift) % (1 << 48) == _BZ2_END for shift in range(8))


def _unpacked_name(file: FileHead) -> str:
    name = file.name
    for ending in (".bz2", ".gz", ".xz"):
        name = name.removesuffix(ending)
    return name


def _by_name(file: FileHead) -> FileInfo | NotMine | None:
    """Recognise a table by its name; it must be one to its end."""
    name = _unpacked_name(file)
    for pattern, kind in _NAMED:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        shot = ShotName.of_path(file.source.path)
        if kind == "sky":
            shot = ShotName(int(match[1]), int(match[2]))
        if shot is None:
            return NotMine(f"a {name} in no folder that names the shot (YYYYMMDDvOOO)")
        _READERS[kind](_both_ends(file).decode("latin-1"), file.source.path)
        last = match[match.lastindex] if match.lastindex else ""
        entry = f"exp{last}" if last and re.fullmatch(r"\d\d", last) else ""
        return info(file, kind, str(shot), entry)
    return None
