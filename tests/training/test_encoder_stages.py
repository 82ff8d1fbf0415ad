"""The stages of encoders: what is learnt, that a resumed run ends as it would have, and what is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.numpy import save_file
from safetensors.torch import load_file
from training_runs import PulledPlugError

from genlink.config import EncoderConfig, SapbertConfig
from genlink.data.name_pairs import NamePairs
from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.errors import UsageError
from genlink.training import sapbert as sapbert_module
from genlink.training import saving
from genlink.training.biosyn import BiosynLoss, collate_candidates
from genlink.training.candidates import CandidateList
from genlink.training.encoder_stages import run_encoder_stage
from genlink.training.encoders import trained_vectors
from genlink.training.loop import train
from genlink.training.mining import euclidean, hard_pairs
from genlink.training.multi_similarity import PRESETS, multi_similarity_loss
from genlink.training.name_vectors import CurrentVectors, DenseCandidates
from genlink.training.sapbert import sapbert_task

pytestmark = pytest.mark.usefixtures("accelerator")


@pytest.fixture
def stage(encoder_recipe, tmp_path):
    """A function that makes the recipe of a stage that writes to a folder of that name."""

    def make(stage: str, name: str = "run", **sections: object) -> EncoderConfig:
        return EncoderConfig.model_validate(encoder_recipe(stage, tmp_path / name, **sections))

    return make


@pytest.fixture
def encoder(kb):
    """A tiny BERT of random weights without dropout."""
    tokenizer = train_wordpiece([kb.key(i) for i in range(kb.n_keys)], 150)
    bert = fresh_bert(tokenizer, width=16, layers=1, heads=2, max_positions=32, seed=3)
    return TextEncoder(bert.eval(), tokenizer)


def weights(output: str | Path, part: str = "model") -> dict[str, torch.Tensor]:
    name = "model" if part == "model" else "weights"
    return load_file(Path(output) / part / f"{name}.safetensors")


def scores(output: str | Path) -> list[float]:
    lines = map(json.loads, (Path(output) / "metrics.jsonl").read_text().splitlines())
    return [line["dev_accuracy"] for line in lines if "dev_accuracy" in line]


def test_names_of_a_concept_come_together(stage, write_corpus, kb):
    dev = write_corpus("dev", ("argentine fever", "D1"), ("moth fancier lung", "D3"), ("ocean fever", "D5"))
    optimiser = {"steps": 40, "batch_size": 8, "learning_rate": 0.005, "warmup_steps": 4}
    model = {**stage("sapbert").model.model_dump(), "dropout": 0.0, "unit_length": True}
    config = stage("sapbert", optimiser=optimiser, model=model, dev={"corpus": str(dev), "every": 40})
    run = run_encoder_stage(config)
    assert (run.step, run.examples) == (40, 320)
    encoder = TextEncoder.from_pretrained(Path(config.output) / "model", download=False)
    assert encoder.settings == {"pooling": "mean", "max_tokens": 25, "unit_length": True}
    vectors = encoder.embed([kb.key(i) for i in range(kb.n_keys)])
    cosines = (vectors @ vectors.T).fill_diagonal_(-1)
    assert all(kb.key_concepts(i) == kb.key_concepts(int(nearest)) for i, nearest in enumerate(cosines.argmax(dim=1)))


def test_the_loss_of_a_step_is_the_mean_over_its_names(encoder, kb):
    pairs = NamePairs(kb, limit=50, max_name_length=120, seed=0)
    task = sapbert_task(encoder, pairs, SapbertConfig(loss="paper", margin=0.1), batch_size=5, seed=0)
    examples = task.batch(0)
    found = task.loss(task.collate(examples)).detach() / task.size(examples)
    vectors = torch.nn.functional.normalize(
        encoder.embed([kb.key(key) for pair in examples for key in (pair.first, pair.second)]), dim=1
    )
    labels = torch.tensor([pair.concept for pair in examples for _ in range(2)])
    cosines = vectors @ vectors.T
    kept = hard_pairs(euclidean(cosines), labels, 0.1)
    assert float(found) == pytest.approx(
        float(multi_similarity_loss(cosines, *kept, PRESETS["paper"]).mean()), rel=1e-5
    )
    assert kept[1].any()


def test_in_half_precision_cosines_and_loss_are_still_taken_in_full(encoder, kb):
    task = sapbert_task(encoder, NamePairs(kb, limit=50, max_name_length=120, seed=0), SapbertConfig(), 5, seed=0)
    batch = task.collate(task.batch(0))
    taken = []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        pairs = task.loss._pairs
        task.loss._pairs = lambda cosines, *others: taken.append(cosines.dtype) or pairs(cosines, *others)
        assert task.loss(batch).dtype == torch.float32
    assert taken == [torch.float32]


def test_the_gradients_of_two_processes_add_up_to_that_of_one(encoder, kb, monkeypatch):
    task = sapbert_task(encoder, NamePairs(kb, limit=50, max_name_length=120, seed=0), SapbertConfig(), 5, seed=0)
    examples = task.batch(0)
    parameter = encoder.model.embeddings.word_embeddings.weight

    def gradient(examples: list) -> torch.Tensor:
        parameter.grad = None
        task.loss(task.collate(examples)).backward()
        return parameter.grad.clone()

    whole = gradient(examples)
    parts = [task.collate(part) for part in (examples[:2], examples[2:])]
    with torch.no_grad():
        vectors = [torch.nn.functional.normalize(trained_vectors(encoder, part.texts), dim=1) for part in parts]
    summed = torch.zeros_like(whole)
    for process, part in enumerate((examples[:2], examples[2:])):
        others = {torch.float32: vectors, torch.int64: None}

        def gather(rows: torch.Tensor, process: int = process, others: dict = others) -> torch.Tensor:
            """As gather_rows: those of this process have a gradient, those of the other have none."""
            known = others[rows.dtype]
            if known is None:
                known = [p.labels if torch.equal(rows, parts[process].labels) else p.draws for p in parts]
            return torch.cat([rows if i == process else known[i] for i in range(2)])

        monkeypatch.setattr(sapbert_module, "gather_rows", gather)
        summed += gradient(part)
    assert torch.allclose(summed, whole, atol=1e-8, rtol=1e-3)
    assert whole.abs().max() > 1e-5


def test_candidates_are_found_anew_where_another_process_has_not_seen_them(encoder, kb, tmp_path, monkeypatch):
    accelerator = Accelerator(cpu=True)
    vectors = CurrentVectors(encoder, kb, accelerator)
    candidates = DenseCandidates(encoder, vectors, ["moth lungs"], 3, accelerator, tmp_path, renew=True)
    found = candidates(0)
    save_file({"keys": found[:, ::-1].copy()}, tmp_path / "epoch-0.safetensors")
    assert np.array_equal(candidates(0), found[:, ::-1])
    monkeypatch.setattr("genlink.training.name_vectors.gather_object", lambda seen: [*seen, False])
    assert np.array_equal(candidates(0), found)


def test_texts_are_read_in_groups_of_like_length_and_come_back_in_their_order(encoder, kb, monkeypatch):
    texts = [kb.key(i) for i in range(kb.n_keys)]
    monkeypatch.setattr("genlink.training.encoders._CHUNK", 3)
    assert torch.allclose(trained_vectors(encoder, texts), encoder.embed(texts), atol=1e-5)


def test_a_candidate_scores_the_product_of_vectors_and_the_weighted_cosine(encoder, kb):
    example = CandidateList("blue gouts", (0, 1, 2), (0.5, 0.25, 0.0), (True, False, True))
    other = CandidateList("moth lungs", (2, 3, 4), (0.1, 0.2, 0.3), (False, True, False))
    loss = BiosynLoss(encoder, sparse_weight=2.0)
    found = float(loss(collate_candidates([example, other], kb)).detach())
    wanted = 0.0
    for e in (example, other):
        mention, names = encoder.embed([e.text]), encoder.embed([kb.key(key) for key in e.keys])
        shares = torch.softmax(names @ mention[0] + 2 * torch.tensor(e.sparse), dim=0)
        wanted -= float(shares[torch.tensor(e.right)].sum().log())
    assert found == pytest.approx(wanted, rel=1e-4)


def test_the_weight_of_the_sparse_score_has_a_learning_rate_of_its_own(stage):
    biosyn = {"candidates": 6, "sparse_learning_rate": 0.25, "sparse_weight": 1.0}
    optimiser = {
        "steps": 1,
        "batch_size": 4,
        "learning_rate": 0.001,
        "warmup_steps": 0,
        "weight_decay": 0.5,
        "clip": 99,
    }
    config = stage("biosyn", biosyn=biosyn, optimiser=optimiser)
    run_encoder_stage(config)
    # The first step of Adam is as long as the rate, whatever the gradient; nothing is taken off for its size.
    found = json.loads((Path(config.output) / "model" / "manifest.json").read_text())["sparse_weight"]
    assert abs(found - 1.0) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("micro_batch_size", [1, 3])
def test_mentions_of_a_step_may_be_read_one_by_one(stage, micro_batch_size):
    model = {**stage("biosyn").model.model_dump(), "dropout": 0.0}
    optimiser = {"steps": 4, "batch_size": 5, "learning_rate": 0.003, "warmup_steps": 1}
    run_encoder_stage(whole := stage("biosyn", "whole", model=model, optimiser=optimiser))
    optimiser["micro_batch_size"] = micro_batch_size
    run_encoder_stage(cut := stage("biosyn", "cut", model=model, optimiser=optimiser))
    one, two = weights(whole.output), weights(cut.output)
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one if "key.bias" not in name)


@pytest.mark.parametrize("name", ["sapbert", "random", "biosyn"])
@pytest.mark.parametrize("stop", [2, 3])
def test_an_interrupted_stage_is_resumed_to_the_same_end(stage, dev_corpus, monkeypatch, name, stop):
    kind = "biosyn" if name == "biosyn" else "sapbert"
    sections = {"dev": {"corpus": str(dev_corpus), "every": 2}, "checkpoint_every": 100}
    sections["optimiser"] = {"steps": 5, "batch_size": 2, "learning_rate": 0.003, "warmup_steps": 1}
    if name == "random":
        sections["sapbert"] = {"mining": "random"}
    run_encoder_stage(whole := stage(kind, "whole", **sections))
    resumed = stage(kind, "resumed", **sections)

    def begin(*arguments: object, **options: object) -> None:
        train(*arguments, **options, stop_at=stop)
        raise PulledPlugError

    with monkeypatch.context() as patch:
        patch.setattr(saving, "train", begin)
        with pytest.raises(PulledPlugError):
            run_encoder_stage(resumed)
    run_encoder_stage(resumed, resume=True)
    one, two = weights(whole.output, "checkpoint"), weights(resumed.output, "checkpoint")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert scores(whole.output) == scores(resumed.output)


@pytest.mark.parametrize("renew", [True, False])
def test_dense_candidates_are_found_anew_before_each_epoch_or_never(stage, renew):
    optimiser = {"steps": 8, "batch_size": 2, "learning_rate": 0.1, "warmup_steps": 0}  # 3 steps an epoch
    config = stage("biosyn", biosyn={"candidates": 6, "renew": renew}, optimiser=optimiser)
    run_encoder_stage(config)
    files = sorted((Path(config.output) / "candidates").iterdir())
    assert [file.stem for file in files] == (["epoch-0", "epoch-1", "epoch-2"] if renew else ["epoch-0"])
    keys = [load_file(file)["keys"] for file in files]
    assert all(found.shape == (5, 6) for found in keys)
    assert not renew or any(not torch.equal(keys[0], later) for later in keys[1:])


def test_how_many_mentions_have_something_to_learn_from_is_said_in_each_epoch(stage, capsys):
    run_encoder_stage(stage("biosyn", biosyn={"candidates": 13, "epochs": 1.5}, optimiser={"batch_size": 4}))
    said = [line for line in capsys.readouterr().err.splitlines() if "right candidate" in line]
    assert said == [f"epoch {i}: 5 of 5 mentions have a right candidate" for i in (1, 2)]


def test_a_stage_reads_everything_as_often_as_its_epochs_say(stage, write_corpus):
    config = stage("sapbert", sapbert={"epochs": 2.0}, optimiser={"batch_size": 4, "warmup_steps": 0})
    assert run_encoder_stage(config).step == 4  # 3 + 5 x 1 pairs, twice
    config = stage("biosyn", "biosyn", biosyn={"candidates": 6, "epochs": 1.5}, optimiser={"batch_size": 2})
    assert run_encoder_stage(config).step == 5  # 3 steps an epoch


def test_training_mentions_are_names_of_their_concepts(stage, train_corpus):
    config = stage("sapbert", sapbert={"epochs": 1.0}, optimiser={"batch_size": 1, "warmup_steps": 0})
    more = config.model_copy(update={"corpus": stage("biosyn").corpus, "output": config.output + "-more"})
    # "silver fevers" is paired with three names, "glass bones" and "moth lungs" with two each.
    assert run_encoder_stage(more, max_steps=None).step == run_encoder_stage(config).step + 3 + 2 + 2


def test_a_stage_begins_with_what_another_has_left(stage, monkeypatch):
    first = stage("sapbert", "first")
    run_encoder_stage(first)
    checkpoint = f"{first.output}/model"
    second = stage("biosyn", "second", model={"checkpoint": checkpoint}, optimiser={"steps": 1, "learning_rate": 1e-9})
    run_encoder_stage(second)
    assert TextEncoder.from_pretrained(Path(second.output) / "model", download=False).pooling == "mean"
    one, two = weights(first.output), weights(second.output)
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    missing = second.model_copy(
        update={
            "output": second.output + "2",
            "model": second.model.model_copy(update={"checkpoint": "runs/none/model"}),
        }
    )
    with pytest.raises(UsageError, match="runs/none/model: no such model"):
        run_encoder_stage(missing)


def test_another_recipe_is_not_resumed_and_nothing_overwritten_unless_it_is_asked_for(stage):
    config = stage("biosyn", optimiser={"steps": 2, "batch_size": 2})
    run_encoder_stage(config)
    with pytest.raises(UsageError, match="holds an earlier run"):
        run_encoder_stage(config)
    other = stage("biosyn", optimiser={"steps": 2, "batch_size": 2}, biosyn={"candidates": 6, "marginalise": False})
    with pytest.raises(UsageError, match=r"was begun with biosyn\.marginalise True, the recipe now has False"):
        run_encoder_stage(other, resume=True)
    candidates = Path(config.output) / "candidates" / "epoch-0.safetensors"
    before = candidates.stat().st_mtime_ns
    run_encoder_stage(other, overwrite=True)
    assert candidates.stat().st_mtime_ns != before


@pytest.mark.parametrize(
    ("kind", "sections", "problem"),
    [
        ("sapbert", {"optimiser": {"micro_batch_size": 2}}, "compares all names of a step"),
        ("sapbert", {"biosyn": {}}, "biosyn is not of stage sapbert"),
        ("biosyn", {"sapbert": {}}, "are not of stage biosyn"),
        ("biosyn", {"pairs": {"limit": 3}}, "are not of stage biosyn"),
        ("biosyn", {"corpus": None}, "needs corpus"),
        ("biosyn", {"optimiser": {"label_smoothing": 0.1}}, "knows no optimiser.label_smoothing"),
        ("sapbert", {"model": {"shape": {"max_positions": 16}, "max_tokens": 17}}, "above model.shape.max_positions"),
        ("sapbert", {"model": {"shape": {"width": 9, "heads": 2}}}, "not divisible"),
        ("sapbert", {"model": {}}, "give either checkpoint or shape"),
    ],
)
def test_what_a_stage_has_no_use_for_is_refused(stage, kind, sections, problem):
    with pytest.raises(ValueError, match=problem):
        stage(kind, **sections)
