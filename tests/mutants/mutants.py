"""Promises broken on purpose, each with the tests that must notice."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of the code.

    Attributes
    ----------
    promise : str
        What it breaks.
    file : str
        Below the repository.
    old, new : str
        `old` stands there exactly once.
    tests : str
        What pytest is given; at least one of them must fail.
    """

    promise: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "a position on the edge of a cone is found",
        "corecube/archive/sphere.py",
        "haversine(center_ra, center_dec, ra, dec) <= edge * edge",
        "haversine(center_ra, center_dec, ra, dec) < edge * edge",
        "tests/archive/test_sphere.py tests/archive/test_skyindex.py",
    ),
    Mutant(
        "cones go through RA 0",
        "corecube/archive/regions.py",
        "below, above = (start < 0.0) & ~full, (end > 360.0) & ~full",
        "below, above = (start < -1.0) & ~full, (end > 360.0) & ~full",
        "tests/archive/test_sphere.py tests/archive/test_skyindex.py",
    ),
    Mutant(
        "the middle of a cutout is the pixel nearest to the position",
        "corecube/archive/cutout.py",
        "x0 = int(np.floor(x + 0.5)) - size // 2",
        "x0 = int(np.floor(x)) - size // 2",
        "tests/archive/test_query.py tests/cli/test_real.py tests/journeys/test_sdss_ingest.py",
    ),
    Mutant(
        "the WCS of a cutout is that of the cutout",
        "corecube/archive/cutout.py",
        'cards=shifted(about["cards"], place.x0, place.y0)',
        'cards=shifted(about["cards"], place.x0, place.y0 + 1)',
        "tests/archive/test_query.py tests/cli/test_real.py tests/journeys/test_sdss_ingest.py",
    ),
    Mutant(
        "what lies outside of the image is NaN in a cutout",
        "corecube/archive/cutout.py",
        "flux=_padded(part.flux, place, np.nan)",
        "flux=_padded(part.flux, place, 0.0)",
        "tests/archive/test_query.py tests/cli/test_real.py tests/journeys/test_sdss_ingest.py",
    ),
    Mutant(
        "pixel coordinates count from the centre of the first pixel",
        "corecube/tan.py",
        "dx = np.asarray(x, dtype=np.float64) + 1 - crpix[0]",
        "dx = np.asarray(x, dtype=np.float64) - crpix[0]",
        "tests/core/test_tan.py",
    ),
    Mutant(
        "errors have the photon noise of the sky",
        "corecube/recipes.py",
        "    base /= gain\n    base += dark\n",
        "    base += dark\n    base /= gain\n",
        "tests/sdss/test_imaging.py",
    ),
    Mutant(
        "a negative variance is flagged",
        "plugins/sdss/corecube_sdss/noise.py",
        'mask[np.isnan(error)] = value("negative_variance", "no_error")',
        'mask[np.isnan(error)] = value("no_error")',
        "tests/sdss/test_simulate.py",
    ),
    Mutant(
        "errors of real frames are made with the gain, not 5 % more",
        "plugins/sdss/corecube_sdss/noise.py",
        'both = {"gain": np.array(gain), ',
        'both = {"gain": np.array(1.05 * gain), ',
        "tests/sdss/test_imaging.py -k noise_check",
    ),
    Mutant(
        "a gain 5 % wrong in the simulator alone is seen in the pulls",
        "plugins/sdss/corecube_sdss/simulate.py",
        "rng.poisson(gain * mean) / gain",
        "rng.poisson(1.05 * gain * mean) / (1.05 * gain)",
        "tests/sdss/test_pulls.py -k noise_free",
    ),
    Mutant(
        "a gain 5 % wrong in the model alone is seen on simulated frames",
        "plugins/sdss/corecube_sdss/noise.py",
        'both = {"gain": np.array(gain), ',
        'both = {"gain": np.array(0.95 * gain), ',
        "tests/sdss/test_simulate.py -k true_variance",
    ),
    Mutant(
        "each half of a chip has the values of its own amplifier",
        "plugins/sdss/corecube_sdss/noise.py",
        "else float(value[half.start])",
        "else float(value[0])",
        "tests/sdss/test_amplifiers.py",
    ),
    Mutant(
        "amplifiers are used only where their means are the chip's values",
        "plugins/sdss/corecube_sdss/amplifiers.py",
        "    if reason:",
        '    if reason.startswith("the frame"):',
        "tests/sdss/test_amplifiers.py",
    ),
    Mutant(
        "an aperture that is not whole has no pull",
        "corecube/measuring/objects.py",
        "coverage >= LEAST_COVERAGE, (flux",
        "coverage >= 0.0, (flux",
        "tests/cli/test_plot.py -k object",
    ),
    Mutant(
        "the gain of a run is that of its epoch",
        "plugins/sdss/corecube_sdss/noise.py",
        "gain=_since(GAIN[field.camcol], field.run)[band]",
        "gain=_since(GAIN[field.camcol], 0)[band]",
        "tests/sdss/test_imaging.py",
    ),
    Mutant(
        "a frame's own bits come back",
        "corecube/archive/shotwriter.py",
        "for name, bits in image.bits.items()]",
        "for name, bits in list(image.bits.items())[:0]]",
        "tests/archive/test_roundtrip.py",
    ),
    Mutant(
        "a chunk that the disk did not take is noticed",
        "corecube/archive/proof.py",
        "if chunks.crc(data[offset - start : offset - start + length]) != crc:",
        "if False:",
        "tests/archive/test_shotwriter.py",
    ),
    Mutant(
        "a finished file is on the disk before it gets its name",
        "corecube/archive/durable.py",
        "            os.fsync(descriptor)\n        finally:\n            os.close(descriptor)\n"
        "        temporary.replace(final)",
        "            pass\n        finally:\n            os.close(descriptor)\n"
        "        temporary.replace(final)",
        "tests/archive/test_durable.py",
    ),
    Mutant(
        "nothing is unpickled",
        "corecube/hdf5.py",
        "            module.pickle = _RefusingPickle\n",
        "            pass\n",
        "tests/core/test_hdf5.py",
    ),
    Mutant(
        "links are not followed",
        "corecube/hdf5.py",
        "if isinstance(file.get_node(path[:end]), tables.link.Link):",
        "if False:",
        "tests/core/test_hdf5.py",
    ),
    Mutant(
        "a damaged description is not believed",
        "corecube/archive/shotfile.py",
        "if chunks.crc(data) != expected:",
        "if False:",
        "tests/archive/test_shotfile.py",
    ),
    Mutant(
        "readers see a new state",
        "corecube/archive/reader.py",
        "if manifests.stamp(self.path) != self._state.stamp:",
        "if False:",
        "tests/archive/test_writer.py",
    ),
    Mutant(
        "an unknown value is not selected by a filter, nor by its opposite",
        "corecube/archive/grammar.py",
        "        return result & known, ~result & known",
        "        return result & known, ~result",
        "tests/archive/test_grammar.py",
    ),
    Mutant(
        "wavelengths rise",
        "corecube/spectral.py",
        "    if np.any(values[..., 1:] <= highest[..., :-1]):",
        "    if False:",
        "tests/core/test_spectral.py",
    ),
    Mutant(
        "an error that is no positive number is NaN, and named",
        "corecube/pipeline/work.py",
        "            mask[unknown] |= _NO_ERROR\n",
        "",
        "tests/pipeline/test_completed.py",
    ),
    Mutant(
        "a second run makes nothing",
        "corecube/pipeline/deciding.py",
        "        elif (same or hopeless) and (missing or not wanted):",
        "        elif hopeless and (missing or not wanted):",
        "tests/pipeline/test_repeat.py",
    ),
    Mutant(
        "a plugin with a wrong signature is set aside",
        "corecube/plugins.py",
        "    reason = _wrong_signature(found)\n",
        '    reason = ""\n',
        "tests/core/test_plugins.py",
    ),
    Mutant(
        "what a plugin prints does not get into results",
        "corecube/plugins.py",
        "with contextlib.redirect_stdout(sys.stderr):",
        "with contextlib.nullcontext():",
        "tests/core/test_plugins.py",
    ),
    Mutant(
        "HDF5 never sees damaged structure",
        "corecube/archive/shotfile.py",
        "        seal.check(path)\n",
        "",
        "tests/archive/test_shotfile.py tests/archive/test_repair.py",
    ),
    Mutant(
        "a log without its last line end is damaged, not short",
        "corecube/archive/recordlog.py",
        "    if rest:  # the end",
        "    if False:  # the end",
        "tests/archive/test_writer.py",
    ),
    Mutant(
        "a shot file that was swapped for another is refused",
        "corecube/archive/reader.py",
        "if (found.identity, found.generation) != (record.identity, record.generation):",
        "if False:",
        "tests/archive/test_repair.py",
    ),
    Mutant(
        "a repair sets aside and does not delete",
        "corecube/archive/repair.py",
        "        place.rename(self.path / name)\n",
        "        place.unlink()\n",
        "tests/archive/test_repair.py",
    ),
    Mutant(
        "a repair rebuilds the sky index from the shots",
        "corecube/archive/repair.py",
        "            why = self._wrong_index(records)\n",
        "            why = None\n",
        "tests/archive/test_repair.py",
    ),
    Mutant(
        "a crossmatch finds images that touch a circle of any size",
        "corecube/archive/footprints.py",
        "        reach = self.radii[rows] + widest + 1e-7",
        "        reach = self.radii[rows] + 1e-7",
        "tests/archive/test_crossmatch.py",
    ),
    Mutant(
        "the first of a batch of matches is the nearest",
        "corecube/archive/fiberquery.py",
        "kept[np.lexsort((matches.separation[kept], matches.target[kept]))]",
        "kept[np.argsort(matches.target[kept], kind='stable')]",
        "tests/archive/test_crossmatch.py tests/archive/test_query.py",
    ),
    Mutant(
        "a link outside of the archive is not followed",
        "corecube/archive/links.py",
        "        inside(archive, path_of(link))\n",
        "",
        "tests/archive/test_links.py",
    ),
    Mutant(
        "an error is left out only if its recipe gives every bit",
        "corecube/recipes.py",
        "        return made.shape == error.shape and bool(\n",
        "        return True or bool(\n",
        "tests/archive/test_small.py tests/core/test_recipes.py",
    ),
    Mutant(
        "a part of an error by recipe has the bits of the whole",
        "corecube/recipes.py",
        "    below = down.below - first\n",
        "    below = down.below - down.below[0] // 2 * 2\n",
        "tests/archive/test_small.py tests/core/test_recipes.py",
    ),
    Mutant(
        "an exported mask has what lists named later",
        "corecube/archive/plainfile.py",
        "        shot.late.apply(late, values, first, 0)\n",
        "        pass\n",
        "tests/archive/test_plainfile.py",
    ),
    Mutant(
        "a rounded error is recorded",
        "corecube/archive/shotwriter.py",
        "            provenance = provenance.add(line)\n",
        "            pass\n",
        "tests/archive/test_rounding.py",
    ),
    Mutant(
        "the folder is forced to the disk behind a rename",
        "corecube/archive/durable.py",
        "            os.fsync(descriptor)\n        except OSError as error:",
        "            pass\n        except OSError as error:",
        "tests/archive/test_durable.py tests/journeys/test_power.py",
    ),
    Mutant(
        "a shot is registered behind its file, not before",
        "corecube/pipeline/work.py",
        "        commit_file(self.temporary, archive / self.task.file)\n",
        "        self.temporary.replace(archive / self.task.file)\n",
        "tests/journeys/test_power.py",
    ),
    Mutant(
        "every byte of a shot file is compared by verify",
        "corecube/archive/verify.py",
        "if not quick and sha256_file(path) == record.sha256:",
        "if not quick:",
        "tests/archive/test_verify.py",
    ),
    Mutant(
        "one writer at a time",
        "corecube/archive/lock.py",
        "            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        "tests/archive/test_writer.py",
    ),
    Mutant(
        "a writer of another host is believed on a network",
        "corecube/archive/lock.py",
        "if match and match[2] != socket.gethostname():",
        "if False:",
        "tests/archive/test_networks.py",
    ),
    Mutant(
        "a lock that is a symbolic link is not written through",
        "corecube/archive/lock.py",
        " | os.O_NOFOLLOW",
        "",
        "tests/archive/test_networks.py",
    ),
    Mutant(
        "a newer archive is refused",
        "corecube/archive/manifest.py",
        'if data["format"] > FORMAT:',
        "if False:",
        "tests/archive/test_strangers_values.py tests/archive/test_writer.py -k newer",
    ),
    Mutant(
        "a newer shot file is refused",
        "corecube/archive/shotfile.py",
        "if number > FORMAT:",
        "if False:",
        "tests/archive/test_strangers_values.py -k newer",
    ),
    Mutant(
        "names of files in manifest and logs do not lead out of the archive",
        "corecube/archive/inside.py",
        " and _is_plain(name)\n",
        "\n",
        "tests/archive/test_strangers_names.py -k elsewhere",
    ),
    Mutant(
        "symbolic links in an archive are not followed",
        "corecube/archive/inside.py",
        "        if stat.S_ISLNK(mode):\n",
        "        if False:\n",
        "tests/archive/test_strangers_names.py -k all_is_well",
    ),
    Mutant(
        "nothing is written through a folder that is a symbolic link",
        "corecube/archive/inside.py",
        "        if path.is_symlink():\n            raise ArchiveDamaged(\n",
        "        if False:\n            raise ArchiveDamaged(\n",
        "tests/archive/test_strangers_names.py -k symbolic",
    ),
    Mutant(
        "arrays that lie outside of the file are not read",
        "corecube/hdf5.py",
        "if not isinstance(found, tables.CArray):",
        "if not isinstance(found, tables.Array | tables.CArray):",
        "tests/core/test_hdf5.py tests/archive/test_strangers.py -k 'external or virtual'",
    ),
    Mutant(
        "no more is read at once than there is memory for",
        "corecube/hdf5.py",
        "    if amount > read_limit():\n",
        "    if False:\n",
        "tests/core/test_hdf5.py -k at_once",
    ),
    Mutant(
        "the chunks of an array are not unpacked beyond a limit",
        "corecube/hdf5.py",
        "        if size > limit:\n",
        "        if False:\n",
        "tests/core/test_hdf5.py",
    ),
    Mutant(
        "no library is loaded as a filter",
        "corecube/hdf5.py",
        'os.environ["HDF5_PLUGIN_PRELOAD"] = "::"',
        "pass",
        "tests/core/test_hdf5.py",
    ),
    Mutant(
        "JSON that says what no archive says is not believed",
        "corecube/archive/jsontext.py",
        '    if wrong is not None:\n        raise ValueError(f"{where}{wrong}")',
        '    if False:\n        raise ValueError(f"{where}{wrong}")',
        "tests/archive/test_strangers_values.py -k 'json or any_value'",
    ),
    Mutant(
        "a chunk in the place of another is not read",
        "corecube/archive/chunkreading.py",
        "found != sums.item(number):",
        "False:",
        "tests/archive/test_verify.py -k places",
    ),
    Mutant(
        "files of a former state stay for those who read",
        "corecube/archive/leftovers.py",
        "        superfluous = [name for name in superfluous if name not in kept]\n",
        "",
        "tests/archive/test_leftovers.py",
    ),
    Mutant(
        "a full disk is freed of former files",
        "corecube/archive/writer.py",
        "        if isinstance(error, NoSpace):\n",
        "        if False:\n",
        "tests/archive/test_leftovers.py",
    ),
    Mutant(
        "folders of living processes are not removed",
        "corecube/scratch.py",
        "            if _started(int(match[2])) == int(match[3]):\n",
        "            if False:\n",
        "tests/core/test_scratch.py",
    ),
    Mutant(
        "verify survives a file that crashes its reader",
        "corecube/pipeline/checking.py",
        "tasks, jobs, apart=True)",
        "tasks, jobs)",
        "tests/pipeline/test_apart.py -k apart_it",
    ),
    Mutant(
        "control characters of a stranger do not reach the terminal",
        "corecube/text.py",
        "    shown = _HARMFUL.sub(_escape, text)\n",
        "    shown = text\n",
        "tests/core/test_text.py tests/archive/test_strangers_names.py -k 'printed or text'",
    ),
)
