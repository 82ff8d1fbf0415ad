"""The training loop: one function, the same on one CPU and on many GPUs.

A step's examples are a function of (seed, step). They are cut into equal shares for the processes and each share into
micro-batches; losses are sums divided by the size of the whole step. So 1 x 8 = 8 x 1 = two processes, and a resumed
run continues as if it had not stopped.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from genlink.config import OptimiserConfig
from genlink.errors import FormatError, UsageError
from genlink.files import atomic_file, read_jsonl
from genlink.training.checkpoint import load_checkpoint, read_progress, save_checkpoint
from genlink.training.sharding import gather_weights, to_train
from genlink.training.task import Task

__all__ = ["Run", "announce", "learning_rate", "shares", "train"]

E = TypeVar("E")

LOG_EVERY = 25


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """The rate of optimiser step ``step`` (from zero): linear warm-up, then linear decay to the floor."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    left = (steps - step) / max(1, steps - config.warmup_steps)
    return config.learning_rate * max(config.floor, left)


def shares(examples: Sequence[E], processes: int, process: int, micro_batch_size: int | None) -> list[list[E]]:
    """The micro-batches of one process: its contiguous share of a step, cut to ``micro_batch_size`` examples.

    Every process gets as many micro-batches as any other, since their gradients are exchanged together; where a step
    has too few examples for that, some have one more.
    """
    if len(examples) < processes:
        raise UsageError(
            f"batch_size {len(examples)} is smaller than the number of processes, {processes}. "
            "Raise optimiser.batch_size, or start fewer processes."
        )
    largest = math.ceil(len(examples) / processes)
    count = min(math.ceil(largest / (micro_batch_size or largest)), len(examples) // processes)
    bounds = [round(i * len(examples) / (processes * count)) for i in range(processes * count + 1)]
    cuts = [list(examples[a:b]) for a, b in itertools.pairwise(bounds)]
    return cuts[process * count : (process + 1) * count]


@dataclass(slots=True)
class Run:
    """Where a run got to and what it measured; ``seconds`` pass on the clock, ``cpu_seconds`` in this process."""

    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    examples: int = 0
    best: float | None = None
    best_step: int | None = None
    without_gain: int = 0


def train(
    model: torch.nn.Module,
    task: Task[E],
    config: OptimiserConfig,
    accelerator: Accelerator,
    *,
    steps: int,
    seed: int,
    output: Path,
    checkpoint_every: int,
    resume: bool = False,
    score: Callable[[], float] | None = None,
    score_every: int = 0,
    patience: int | None = None,
    save_best: Callable[[], None] | None = None,
    stop_at: int | None = None,
) -> Run:
    """Train ``model`` in place by ``task`` for ``steps`` steps and return what was measured.

    ``score`` is called by every process every ``score_every`` steps and at the end, after the update; it returns the
    same number everywhere, and ``save_best`` is called by the main process when it is the best so far. Metrics go to
    ``output/metrics.jsonl``, a line each ``LOG_EVERY`` steps and each scoring; a checkpoint to ``output/checkpoint``.
    ``stop_at`` ends the run early, with a checkpoint, as if it had been interrupted after so many steps.

    With ``resume``, goes on from the checkpoint if there is one. Raises UsageError when it was written under another
    seed, kind of device, precision, task, number of steps or ``config`` (but for the size of micro-batches), ModelError
    when it is of another model or number of processes.
    """
    torch.manual_seed(seed + accelerator.process_index)
    trained = to_train(task.loss, accelerator)
    optimiser = torch.optim.AdamW(
        _groups(trained, task.rates, config),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    wrapped, optimiser = accelerator.prepare(trained, optimiser)
    run, losses, checkpoint = Run(), _Losses(), output / "checkpoint"
    log = _MetricsLog(output / "metrics.jsonl", accelerator.is_main_process)
    # What a resumed run must share with the one that it goes on with; how a step is cut up changes nothing.
    settings = {
        "seed": seed,
        "device": accelerator.device.type,
        "precision": accelerator.mixed_precision,
        **config.model_dump(exclude={"micro_batch_size"}),
        "steps": steps,
        **task.settings,
    }
    if resume:
        if checkpoint.is_dir():
            run, losses = _resumed(checkpoint, model, _inner(optimiser), accelerator, settings)
        log.truncate(run.step)
    clock = _Clock(run)
    last = min(steps, stop_at or steps)

    def is_over() -> bool:
        return patience is not None and run.without_gain >= patience

    wrapped.train()
    with tqdm(
        total=steps, initial=run.step, unit="step", disable=not accelerator.is_main_process, dynamic_ncols=True
    ) as bar:
        while run.step < last and not is_over():
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(run.step, steps, config) * group["rate"]
            examples = task.batch(run.step)
            losses.add(_step(wrapped, optimiser, examples, task, config, accelerator))
            run.step += 1
            run.examples += len(examples)
            clock.read(run)
            bar.update()
            if run.step % LOG_EVERY == 0 or run.step == steps:
                loss, rate = losses.take(accelerator), optimiser.param_groups[0]["lr"]
                bar.set_postfix(loss=f"{loss:.3f}", examples_s=f"{run.examples / run.seconds:.0f}", refresh=False)
                log.write(
                    step=run.step, loss=loss, learning_rate=rate, examples=run.examples, seconds=round(run.seconds, 2)
                )
            if score is not None and (run.step % score_every == 0 or run.step == steps):
                gather_weights(_inner(optimiser), model)
                value = score()
                wrapped.train()
                log.write(step=run.step, dev_accuracy=value)
                announce(accelerator, f"step {run.step}: dev Acc@1 {value:.4f}")
                if run.best is None or value > run.best:
                    run.best, run.best_step, run.without_gain = value, run.step, 0
                    if save_best is not None and accelerator.is_main_process:
                        save_best()
                else:
                    run.without_gain += 1
            if run.step % checkpoint_every == 0 or run.step == last or is_over():
                clock.read(run)
                _checkpoint(checkpoint, model, _inner(optimiser), accelerator, settings, run, losses)
    if is_over():
        announce(accelerator, f"step {run.step}: no better dev score in {patience} scorings, stopped")
    accelerator.wait_for_everyone()
    return run


def announce(accelerator: Accelerator, message: str) -> None:
    """Say something once, above any progress bar."""
    if accelerator.is_main_process:
        tqdm.write(message, file=sys.stderr)


def _step(
    model: torch.nn.Module,
    optimiser: Any,
    examples: Sequence[E],
    task: Task[E],
    config: OptimiserConfig,
    accelerator: Accelerator,
) -> float:
    """One optimiser step; this process's part of the mean loss."""
    size = task.size(examples)
    micro_batches = shares(examples, accelerator.num_processes, accelerator.process_index, config.micro_batch_size)
    total = torch.zeros((), device=accelerator.device)
    for i, micro_batch in enumerate(micro_batches):
        last = i == len(micro_batches) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            with accelerator.autocast():
                loss = model(task.collate(micro_batch).to(accelerator.device)) / size
            # Gradients are averaged over the processes, while our loss is a sum over them.
            accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    accelerator.clip_grad_norm_(model.parameters(), config.clip)
    optimiser.step()
    optimiser.zero_grad()
    return float(total)


def _groups(trained: torch.nn.Module, rates: Mapping[str, float], config: OptimiserConfig) -> list[dict[str, Any]]:
    """The parameters for the optimiser; ``rate`` is what the learning rate of a group is multiplied with."""
    parameters = dict(trained.named_parameters())
    own = [
        {"params": [parameters.pop(name)], "rate": rate / config.learning_rate, "weight_decay": 0.0}
        for name, rate in rates.items()
    ]
    return [{"params": list(parameters.values()), "rate": 1.0}, *own]


def _inner(optimiser: Any) -> torch.optim.Optimizer:
    """The torch optimiser inside accelerate's wrapper."""
    inner: torch.optim.Optimizer = optimiser.optimizer
    return inner


@dataclass(slots=True)
class _Losses:
    """This process's part of the losses of the steps since the last line of the log."""

    total: float = 0.0
    steps: int = 0

    def add(self, loss: float) -> None:
        self.total += loss
        self.steps += 1

    def take(self, accelerator: Accelerator) -> float:
        """The mean loss of these steps, over all processes; the next ones are counted from zero."""
        total = float(accelerator.reduce(torch.tensor(self.total, device=accelerator.device), "sum"))
        mean = total / self.steps
        self.total, self.steps = 0.0, 0
        return mean


def _checkpoint(
    directory: Path,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: dict[str, Any],
    run: Run,
    losses: _Losses,
) -> None:
    """Save from the main process; each adds its losses and the state of the generator that dropout draws from."""
    device = accelerator.device
    state = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    states, totals = gather_object([state]), gather_object([losses.total])
    progress = {**asdict(run), "settings": settings, "losses": {"totals": totals, "steps": losses.steps}}
    gather_weights(optimiser, model)
    save_checkpoint(directory, model, optimiser, states, progress, writes=accelerator.is_main_process)
    accelerator.wait_for_everyone()


def _resumed(
    directory: Path,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: dict[str, Any],
) -> tuple[Run, _Losses]:
    """The inverse of ``_checkpoint``."""
    saved = read_progress(directory).get("settings", settings)
    for key in sorted(saved.keys() | settings.keys()):
        if saved.get(key) != settings.get(key):
            raise UsageError(
                f"{directory}: was written with {key} {saved.get(key)}, this run has {settings.get(key)}. Go back to "
                "that, or start anew with --overwrite."
            )
    state, progress = load_checkpoint(directory, model, optimiser, accelerator.process_index, accelerator.num_processes)
    if accelerator.device.type == "cuda":
        torch.cuda.set_rng_state(state, accelerator.device)
    else:
        torch.set_rng_state(state)
    progress.pop("settings", None)
    pending = progress.pop("losses", {"totals": [0.0] * accelerator.num_processes, "steps": 0})
    return Run(**progress), _Losses(pending["totals"][accelerator.process_index], pending["steps"])


class _Clock:
    """Adds the time since its making to what the run had used before."""

    def __init__(self, run: Run) -> None:
        self._wall, self._cpu = time.monotonic() - run.seconds, time.process_time() - run.cpu_seconds

    def read(self, run: Run) -> None:
        run.seconds, run.cpu_seconds = time.monotonic() - self._wall, time.process_time() - self._cpu


class _MetricsLog:
    """A JSON-lines file of measurements; a resumed run drops what was written after its checkpoint."""

    def __init__(self, path: Path, writes: bool) -> None:
        self._path, self._writes = path, writes
        if writes:
            path.parent.mkdir(parents=True, exist_ok=True)

    def truncate(self, step: int) -> None:
        if self._writes and self._path.exists():
            kept: list[str] = []
            with contextlib.suppress(FormatError):  # an interruption can cut the last line short
                for _, record in read_jsonl(self._path):
                    if record["step"] <= step:
                        kept.append(json.dumps(record) + "\n")
            with atomic_file(self._path) as f:
                f.writelines(kept)

    def write(self, **record: float) -> None:
        if self._writes:
            with self._path.open("a", encoding="utf-8") as f:
                f.write(json.dumps(record) + "\n")
