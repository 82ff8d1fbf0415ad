"""Models from and to the Hugging Face Hub. Nothing is asked of the network but by calling these."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from genlink.bundle.card import model_card, training_records
from genlink.bundle.info import KINDS, model_facts
from genlink.bundle.kept import CARD, FIRST_CARD
from genlink.errors import DataError, ModelError, UsageError
from genlink.evaluation.results import read_result
from genlink.files import MANIFEST, read_json

__all__ = ["HubApi", "fetch", "push"]

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class HubApi(Protocol):
    """What is used of ``huggingface_hub.HfApi``."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make a repository unless it is there."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, allow_patterns: list[str]) -> Any:
        """Upload the files of a folder that fit a pattern, as one commit."""
        ...


def fetch(name: str, revision: str | None = None) -> Path:
    """The directory of a model of the Hub, downloaded unless it is in the Hub's cache: the files of its manifest alone.

    Raises UsageError for what is no name of the Hub, and ModelError where it cannot be had or is no model of GenLink.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    if not _NAME.fullmatch(name):
        raise UsageError(f"{name}: no such directory, and no name of the Hub, which would be OWNER/NAME.")
    try:
        manifest = read_json(hf_hub_download(name, MANIFEST, revision=revision))
    except DataError:
        raise
    except Exception as error:  # of the network, of the Hub, of names that are none
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{name}: no directory here, and no {MANIFEST} of that name could be had from the Hub ({reason}). Check "
            "the name, the network and HF_HUB_OFFLINE."
        ) from None
    if not isinstance(manifest, dict) or manifest.get("kind") not in KINDS or "files" not in manifest:
        raise ModelError(f"{name}: is no model of GenLink. An encoder or a BART is opened with a knowledge base.")
    try:
        wanted = [MANIFEST, *manifest["files"]]
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{name}: could not be downloaded whole ({reason}). The same call goes on with it.") from None


def push(
    directory: Path,
    repository: str,
    *,
    private: bool = False,
    results: Sequence[str | Path] = (),
    allow_restricted_names: bool = False,
    trained: Path | None = None,
    api: HubApi | None = None,
) -> str:
    """Upload a model directory, with a model card made of its facts; returns the address.

    What is uploaded is what the manifest lists, and the card: a README.md that the manifest lists itself, else one that
    is made. It shows the scores of ``results``, files that ``genlink evaluate --result`` wrote, and what the
    ``run.json`` of each stage of the training says, which are found from ``trained`` on, a directory of the model as it
    was trained (``directory`` unless given); before these, what the card says that the weights came with. ``api`` is
    ``huggingface_hub.HfApi()`` unless given.

    Raises UsageError for a bad name of a repository, and where the names seem to be of a vocabulary whose licence does
    not let them be passed on, unless ``allow_restricted_names`` says that you may; ModelError for damaged files, and
    DataError for a record or result that cannot be read.
    """
    if not _NAME.fullmatch(repository):
        raise UsageError(f"{repository}: is no name of a repository. Expected OWNER/NAME.")
    facts = model_facts(directory)
    if facts["kind"] not in KINDS:
        raise UsageError(f"{directory}: a union holds neither of its linkers. Push the two models.")
    if facts["damaged_files"]:
        raise ModelError(f"{directory}: {facts['damaged_files'][0]} is not the file that was saved. See genlink info.")
    if not facts["files"]:
        raise ModelError(f"{directory}: was saved without hashes by an older version. Load it and save it again.")
    if facts["restricted_vocabularies"] and not allow_restricted_names:
        raise UsageError(
            f"{directory}: its names seem to be from {', '.join(facts['restricted_vocabularies'])}, whose licence does "
            "not let everybody pass them on, and a private repository is a third party too. If you may, say so: "
            "allow_restricted_names=True."
        )
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    listed = read_json(directory / MANIFEST)["files"]
    with tempfile.TemporaryDirectory(prefix="genlink-card-") as folder:
        whole = Path(folder) / "model"
        shutil.copytree(directory, whole, copy_function=_linked)
        if CARD not in listed:
            runs = training_records(directory if trained is None else trained)
            first = (whole / FIRST_CARD).read_text(encoding="utf-8") if FIRST_CARD in listed else None
            scores = [read_result(path) for path in results]
            card = model_card(repository, facts, runs=runs, results=scores, first_card=first)
            (whole / CARD).unlink(missing_ok=True)
            (whole / CARD).write_text(card, encoding="utf-8")
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=str(whole),
            commit_message=f"Model of GenLink with {facts['concepts']:,} concepts",
            allow_patterns=sorted({MANIFEST, CARD, *listed}),
        )
    return f"https://huggingface.co/{repository}"


def _linked(source: str, target: str) -> str:
    """A copy that takes no room: gigabytes of names and weights are not written again to add a card."""
    Path(target).symlink_to(Path(source).resolve())
    return target
