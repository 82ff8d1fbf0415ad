"""Pack the default model: a trained model, the dictionary that it links to, and its card, as one file of the package.

    python scripts/make_default.py runs/default/preference/model

The names are those of ``configs/default/sources.yaml``. Weights are rounded to half precision, and the names are
compiled and spelled, so that nothing is computed when it is unpacked. The card has the scores of the result files of
``genlink evaluate`` that are given; without any it says that there are none. It and the attribution are written beside
the packed file too. The same model, names and scores give the same bytes.

With ``--dictionary DIR`` the names are compiled and saved there as a knowledge base, and nothing is packed.

Fails where a part is larger than what is promised, 16 MB for weights, tokenizer and settings and 10 MB for the
dictionary as packed, and where the terms of something that was trained on are not told.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command import run_command
from default_sources import Sources, attribution, build_dictionary, read_sources

from genlink.bundle.card import data_of, model_card, training_records
from genlink.bundle.info import model_facts
from genlink.data_paths import locate
from genlink.default import BUNDLE, DEFAULT
from genlink.errors import DataError, UsageError
from genlink.evaluation import read_result
from genlink.files import atomic_file, sha256
from genlink.linkers.calibration import BUNDLED_CALIBRATION, Calibration
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.model_directory import add_file

MB = 10**6
LIMITS = {"model": 16 * MB, "dictionary": 10 * MB}
DICTIONARY = ("kb", "trie")
CARD, ATTRIBUTION = "README.md", "ATTRIBUTION.txt"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip knows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a directory that genlink train wrote")
    parser.add_argument("--dictionary", type=Path, metavar="DIR", help="only save the dictionary, here")
    parser.add_argument("--sources", default="configs/default/sources.yaml", help="what to link to, and terms")
    parser.add_argument("--calibration", type=Path, help="written by genlink calibrate")
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="result files of genlink evaluate")
    parser.add_argument("--output", type=Path, default=BUNDLE)
    given = parser.parse_args(arguments)

    if (given.model is None) == (given.dictionary is None):
        raise UsageError("Give either a model to pack or --dictionary DIR.")
    sources = read_sources(given.sources)
    if given.dictionary is not None:
        build_dictionary(sources.dictionary).save(given.dictionary)
        return
    trained = locate(given.model)
    runs = training_records(trained)
    if untold := [path for path in data_of(runs) if path not in sources.known]:
        raise UsageError(f"{given.sources}: says nothing of {untold[0]}, which the model was trained on. Add it.")
    results = [read_result(path) for path in given.results]
    kb = build_dictionary(sources.dictionary)
    linker = GenerativeLinker.load(trained, kb=kb)
    linker.model.half()
    calibration = Calibration.read(given.calibration) if given.calibration else None
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "model"
        linker.save(directory)
        if calibration:
            calibration.save(directory / BUNDLED_CALIBRATION)
            add_file(directory, BUNDLED_CALIBRATION)
        texts = {
            CARD: _card(directory, sources, runs, results),
            ATTRIBUTION: attribution(sources.dictionary, kb),
        }
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
            add_file(directory, name)
        packed = Path(folder) / BUNDLE.name
        pack(directory, packed)
        check_sizes(packed)
        for name, text in texts.items():
            with atomic_file(given.output.with_name(name)) as file:
                file.write(text)
        with atomic_file(given.output, "wb") as file:
            file.write(packed.read_bytes())
    print(f"{given.output}: SHA-256 {sha256(given.output)}")


def _card(directory: Path, sources: Sources, runs: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> str:
    facts = model_facts(directory)
    return model_card(
        DEFAULT,
        facts,
        runs=runs,
        results=results,
        terms=sources.terms,
        sources=sources.known,
        limits=sources.limits,
    )


def pack(directory: Path, output: Path) -> None:
    """One file of a directory, whose bytes depend on its content alone."""
    with (
        atomic_file(output, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive,
    ):
        for path in sorted(p for p in directory.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(directory).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_LZMA)


def check_sizes(bundle: Path) -> None:
    """Print what the parts take. Raises DataError for one that is larger than what is promised."""
    sizes = packed_sizes(bundle)
    for part, limit in LIMITS.items():
        print(f"{part}: {sizes[part] / MB:.2f} MB of {limit / MB:.0f}")
        if sizes[part] > limit:
            raise DataError(f"{bundle.name}: the {part} takes {sizes[part]} bytes, at most {limit} are promised.")


def packed_sizes(bundle: Path) -> dict[str, int]:
    """What model and dictionary take in a bundle, in bytes."""
    sizes = dict.fromkeys(LIMITS, 0)
    with zipfile.ZipFile(bundle) as archive:
        for entry in archive.infolist():
            sizes["dictionary" if entry.filename.split("/")[0] in DICTIONARY else "model"] += entry.compress_size
    return sizes


if __name__ == "__main__":
    run_command(main)
