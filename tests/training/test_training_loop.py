"""The loop: interrupted or not, cut up or not, it takes the same steps; and it keeps the model that scored best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import PulledPlugError

from genlink.data.batches import collate
from genlink.errors import ModelError, UsageError
from genlink.training import loop
from genlink.training.loop import Run, train
from genlink.training.losses import TargetLoss
from genlink.training.task import target_task


class InterruptedAt:
    """Batches that end the run when the one of a step is asked for."""

    def __init__(self, batches, step: int) -> None:
        self._batches, self._step = batches, step

    def batch(self, step: int):
        if step == self._step:
            raise PulledPlugError
        return self._batches.batch(step)


@pytest.fixture(autouse=True)
def log_often(monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 4)


@pytest.fixture
def run(make_model, batches, optimiser_config, accelerator, tokenizer):
    """A function that trains into a directory; returns the run and the model."""

    def start(output: Path, *, model=None, source=None, dropout: float = 0.0, config=None, seed: int = 0, **options):
        model = model if model is not None else make_model(dropout)
        settings = {"checkpoint_every": 3, **options}
        objective = {key: settings.pop(key) for key in ("trie", "full_weight") if key in settings}
        config = config or optimiser_config()
        done = train(
            model,
            target_task(
                model,
                source or batches,
                tokenizer.pad_token_id,
                label_smoothing=config.label_smoothing,
                **objective,
            ),
            config,
            accelerator,
            steps=config.steps,
            seed=seed,
            output=output,
            **settings,
        )
        return done, model

    return start


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    # The bias of keys moves all scores of a query alike: its gradient is rounding noise, which Adam enlarges.
    names = [name for name in a if not name.endswith("k_proj.bias")]
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], atol=5e-6) for name in names)


def without_times(record: dict) -> dict:
    return {key: value for key, value in record.items() if not key.endswith("seconds")}


def state_of(output: Path) -> dict:
    """All that a run leaves but the times."""
    manifest = json.loads((output / "checkpoint" / "manifest.json").read_text())
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return {
        "weights": load_file(output / "checkpoint" / "weights.safetensors"),
        "optimiser": load_file(output / "checkpoint" / "optimiser.safetensors"),
        "random": load_file(output / "checkpoint" / "random.safetensors"),
        "progress": without_times(manifest["progress"]),
        "metrics": [without_times(json.loads(line)) for line in lines],
    }


def assert_same_state(a: Path, b: Path) -> None:
    first, second = state_of(a), state_of(b)
    for part in ("weights", "optimiser", "random"):
        assert same(first[part], second[part]), part
    assert first["progress"] == second["progress"]
    assert first["metrics"] == second["metrics"]


# Interrupted and resumed


@pytest.fixture(params=["full", "trie", "both"])
def objective(request, trie):
    """What is learnt, as keywords of ``train``."""
    choices = {"full": {}, "trie": {"trie": trie, "full_weight": 0.0}, "both": {"trie": trie, "full_weight": 0.3}}
    return choices[request.param]


@pytest.mark.parametrize(("dropout", "stops"), [(0.0, (4,)), (0.3, (5,)), (0.3, (1, 2, 11))], ids=str)
def test_a_resumed_run_equals_one_without_interruption(run, tmp_path, dropout, stops, objective):
    options = {"score": lambda: 0.5, "score_every": 6, "dropout": dropout, **objective}
    whole, _ = run(tmp_path / "whole", **options)
    for stop in stops:
        part, _ = run(tmp_path / "parts", resume=True, stop_at=stop, **options)
        assert part.step == stop
    resumed, _ = run(tmp_path / "parts", resume=True, **options)
    assert (resumed.step, resumed.examples, resumed.best, resumed.best_step) == (12, 96, 0.5, 6)
    assert (whole.step, whole.examples, whole.best, whole.best_step) == (12, 96, 0.5, 6)
    assert_same_state(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("step", [2, 5, 10])
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(run, batches, tmp_path, step):
    run(tmp_path / "whole", dropout=0.3)
    # Killed at step 2 there is no checkpoint yet, at 5 and 10 there is one of step 3 and 9 and later lines of metrics.
    with pytest.raises(PulledPlugError):
        run(tmp_path / "killed", dropout=0.3, source=InterruptedAt(batches, step))
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as f:
        f.write('{"step": 10, "lo')
    resumed, _ = run(tmp_path / "killed", dropout=0.3, resume=True)
    assert resumed.step == 12
    assert_same_state(tmp_path / "whole", tmp_path / "killed")


def test_a_finished_run_is_finished(run, batches, tmp_path):
    _, model = run(tmp_path)
    before = state_of(tmp_path)
    again, resumed = run(tmp_path, resume=True, source=InterruptedAt(batches, 12))
    assert again.step == 12
    assert same(weights(resumed), weights(model))
    assert state_of(tmp_path)["metrics"] == before["metrics"]


def test_time_adds_up_over_interruptions(run, tmp_path):
    first, _ = run(tmp_path, stop_at=6)
    second, _ = run(tmp_path, resume=True)
    assert second.seconds > first.seconds > 0
    assert second.cpu_seconds > first.cpu_seconds > 0


def test_another_model_is_refused(run, make_model, tmp_path):
    run(tmp_path, stop_at=3)
    with pytest.raises(ModelError, match="holds another model than the recipe asks for"):
        run(tmp_path, model=make_model(layers=2), resume=True)


def test_another_recipe_or_seed_is_refused_for_it_would_be_neither_run(run, optimiser_config, trie, tmp_path):
    run(tmp_path, stop_at=3)
    with pytest.raises(UsageError, match="checkpoint: was written with steps 12, this run has 20") as caught:
        run(tmp_path, config=optimiser_config(steps=20), resume=True)
    assert "--overwrite" in str(caught.value)
    with pytest.raises(UsageError, match="was written with seed 0, this run has 1"):
        run(tmp_path, seed=1, resume=True)
    with pytest.raises(UsageError, match=r"was written with full_weight None, this run has 0\.3"):
        run(tmp_path, resume=True, trie=trie, full_weight=0.3)
    # How a step is cut up changes nothing.
    assert run(tmp_path, config=optimiser_config(micro_batch_size=3), resume=True)[0].step == 12


def test_an_interruption_while_saving_leaves_the_checkpoint_before(run, tmp_path, monkeypatch):
    run(tmp_path / "whole")
    saved, save = [], loop.save_checkpoint

    def fail_the_second_time(*arguments, **options):
        saved.append(arguments)
        if len(saved) == 2:
            monkeypatch.setattr("genlink.training.checkpoint.write_manifest", fail)
        save(*arguments, **options)

    def fail(*_):
        raise PulledPlugError

    monkeypatch.setattr(loop, "save_checkpoint", fail_the_second_time)
    with pytest.raises(PulledPlugError):
        run(tmp_path / "killed")
    monkeypatch.undo()
    monkeypatch.setattr(loop, "LOG_EVERY", 4)
    assert state_of(tmp_path / "killed")["progress"]["step"] == 3
    run(tmp_path / "killed", resume=True)
    assert_same_state(tmp_path / "whole", tmp_path / "killed")


# Cut up or not


@pytest.mark.parametrize("micro_batch_size", [1, 3, 7])
def test_eight_times_one_is_one_time_eight(run, optimiser_config, tmp_path, micro_batch_size, objective):
    _, whole = run(tmp_path / "whole", **objective)
    _, cut = run(tmp_path / "cut", config=optimiser_config(micro_batch_size=micro_batch_size), **objective)
    assert close(weights(whole), weights(cut))
    losses = [[r["loss"] for r in state_of(tmp_path / name)["metrics"]] for name in ("whole", "cut")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_over_the_target_tokens_of_a_step(
    run, make_model, batches, optimiser_config, tokenizer, tmp_path, monkeypatch, label_smoothing
):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    config = optimiser_config(label_smoothing=label_smoothing, micro_batch_size=3)
    run(tmp_path, config=config, stop_at=1)
    (line,) = state_of(tmp_path)["metrics"]
    batch = collate(batches.batch(0), tokenizer.pad_token_id)
    with torch.no_grad():
        logits = make_model()(
            input_ids=batch.source, attention_mask=batch.source_mask, decoder_input_ids=batch.decoder_input
        ).logits
    log_probs = logits.log_softmax(-1)
    learnt = batch.labels != -100
    of_target = log_probs.gather(-1, batch.labels.clamp(min=0)[..., None])[..., 0]
    per_token = -(1 - label_smoothing) * of_target - label_smoothing * log_probs.mean(-1)
    assert line["loss"] == pytest.approx(float(per_token[learnt].mean()), abs=1e-5)
    assert line == {"step": 1, "loss": line["loss"], "learning_rate": 0.005, "examples": 8}


def test_the_loss_over_the_trie_is_divided_by_all_target_tokens_too(
    run, make_model, batches, trie, optimiser_config, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    run(tmp_path, config=optimiser_config(micro_batch_size=3), stop_at=1, trie=trie, full_weight=0.0)
    (line,) = state_of(tmp_path)["metrics"]
    examples = batches.batch(0)
    with torch.no_grad():
        total = TargetLoss(make_model())(collate(examples, tokenizer.pad_token_id, trie, labelled=False))
    assert line["loss"] == pytest.approx(float(total) / sum(len(e.target) for e in examples), abs=1e-5)


def test_metrics_have_a_line_for_each_few_steps_with_the_mean_loss_of_these(run, tmp_path, monkeypatch):
    run(tmp_path / "few")
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    run(tmp_path / "each")
    each, few = (state_of(tmp_path / name)["metrics"] for name in ("each", "few"))
    assert [line["step"] for line in few] == [4, 8, 12]
    assert [line["examples"] for line in few] == [32, 64, 96]
    means = [sum(line["loss"] for line in each[i : i + 4]) / 4 for i in (0, 4, 8)]
    assert [line["loss"] for line in few] == pytest.approx(means, abs=1e-5)
    assert [line["learning_rate"] for line in few] == [each[i]["learning_rate"] for i in (3, 7, 11)]


def test_training_learns(run, optimiser_config, tmp_path, objective):
    run(tmp_path, config=optimiser_config(steps=160), checkpoint_every=160, **objective)
    losses = [line["loss"] for line in state_of(tmp_path)["metrics"]]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_dropout_is_used_and_follows_the_seed(run, tmp_path):
    results = [
        weights(run(tmp_path / str(i), dropout=dropout, seed=seed)[1])
        for i, (dropout, seed) in enumerate([(0.3, 0), (0.3, 0), (0.3, 1), (0.0, 0)])
    ]
    assert same(results[0], results[1])
    assert not same(results[0], results[2])
    assert not same(results[0], results[3])


# Scored


class Scripted:
    """Scores given beforehand; remembers the weights of the model at each scoring and at each saving."""

    def __init__(self, model, *scores: float) -> None:
        self.model, self._scores = model, iter(scores)
        self.seen: list[dict[str, torch.Tensor]] = []
        self.saved: dict[str, torch.Tensor] | None = None

    def score(self) -> float:
        self.seen.append(weights(self.model))
        self.model.eval()  # as a careless scorer would leave it
        return next(self._scores)

    def save(self) -> None:
        self.saved = weights(self.model)


def scored(run, output: Path, model, *scores: float, **options) -> tuple[Run, Scripted]:
    script = Scripted(model, *scores)
    done, _ = run(output, model=model, score=script.score, score_every=2, save_best=script.save, **options)
    return done, script


def test_the_model_saved_is_the_one_that_scored_best_after_its_update(run, make_model, tmp_path):
    done, script = scored(run, tmp_path, make_model(), 0.1, 0.5, 0.4, 0.5, 0.3, 0.2)
    assert (done.best, done.best_step) == (0.5, 4)  # the first of equal ones
    assert script.saved is not None
    assert same(script.saved, script.seen[1])
    assert not same(script.saved, script.seen[0])
    # The weights of step 4 are those of a run that ends there.
    _, model = run(tmp_path / "short", stop_at=4)
    assert same(script.saved, weights(model))
    lines = [line for line in state_of(tmp_path)["metrics"] if "dev_accuracy" in line]
    assert [(line["step"], line["dev_accuracy"]) for line in lines] == [
        *((2, 0.1), (4, 0.5), (6, 0.4), (8, 0.5), (10, 0.3), (12, 0.2)),
    ]


def test_a_score_of_nought_is_still_the_best_so_far(run, make_model, tmp_path):
    done, script = scored(run, tmp_path, make_model(), *[0.0] * 6)
    assert (done.best, done.best_step) == (0.0, 2)
    assert script.saved is not None


def test_scoring_changes_nothing_of_the_training(run, make_model, tmp_path):
    _, script = scored(run, tmp_path / "scored", make_model(0.3), *[0.5] * 6)
    _, plain = run(tmp_path / "plain", dropout=0.3)
    assert same(weights(script.model), weights(plain))


def test_the_last_step_is_always_scored(run, make_model, optimiser_config, tmp_path):
    done, script = scored(run, tmp_path, make_model(), 0.1, 0.2, 0.3, config=optimiser_config(steps=5))
    assert len(script.seen) == 3
    assert (done.best, done.best_step) == (0.3, 5)


def test_patience_ends_a_run_that_does_not_get_better(run, make_model, tmp_path):
    done, script = scored(run, tmp_path, make_model(), 0.3, 0.2, 0.4, 0.4, 0.1, 0.9, patience=2)
    assert (done.step, done.best, done.best_step, done.without_gain) == (10, 0.4, 6, 2)
    assert len(script.seen) == 5
    # It is over for good: resumed, it takes no further step.
    ended = weights(script.model)
    again, script = scored(run, tmp_path, make_model(), 0.9, patience=2, resume=True)
    assert again.step == 10
    assert script.seen == []
    assert same(weights(script.model), ended)


def test_patience_is_counted_over_an_interruption(run, make_model, tmp_path):
    scored(run, tmp_path, make_model(), 0.3, 0.2, patience=2, stop_at=5)
    done, _ = scored(run, tmp_path, make_model(), 0.2, patience=2, resume=True)
    assert (done.step, done.best_step) == (6, 2)
