"""The training loop: distillation of logits and features plus rate, all rates in every batch.

No labels are needed: the split model learns to answer as the whole backbone does. The backbone's first stages do not change, so their features of the crops are computed once.
Progress is saved; a run that was stopped continues where it was, to the same weights.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import write_atomic_with
from splitwatt.engines.bundle.manifest import Preprocess
from splitwatt.export.networks.gained_split import GainedSplit, shipped, trained

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The price of a kilobyte in nats of divergence, for each rate; the rates' first rounding steps.
TRADES = (4.0, 1.6, 0.7, 0.3, 0.12)
_STEPS = (8.0, 5.0, 3.0, 1.8, 1.0)
_EACH = 4
_FEATURES = 0.3
# The most positions of feature maps whose principal components are computed.
_POSITIONS = 400 * 14 * 14
_SAVE_EVERY = 100
# What NumPy raises for a damaged file.
_DAMAGED = (OSError, ValueError, TypeError, EOFError, BadZipFile)
# Iterations over which the learning rates fall to zero at the end.
_TAPER = 150
# Learning rates of the networks, of gains and bottleneck, of the entropy models.
_NETWORK, _BOTTLENECK, _ENTROPY = 3e-4, 1e-3, 3e-3


@dataclass(frozen=True)
class Pool:
    """The features of crops after the frozen stages and at the cut, and the logits: float16 (crops, ...)."""

    front: np.ndarray
    target: np.ndarray
    logits: np.ndarray

    @classmethod
    def kept(cls, path: Path, make: Callable[[], Pool]) -> Pool:
        """The pool of a file; the file is made first if it is missing or damaged."""
        if path.is_file():
            with contextlib.suppress(*_DAMAGED), np.load(path) as kept:
                return cls(**kept)
        pool = make()
        write_atomic_with(str(path), lambda file: np.savez(file, **vars(pool)))
        return pool

    @classmethod
    def make(
        cls,
        split: GainedSplit,
        whole: nn.Module,
        crop: Callable[[int], Tensor],
        size: int,
        say: Callable[[str], None],
    ) -> Pool:
        """Compute the pool of `size` crops, float32 (3, side, side); `crop` makes the crop of a number.

        Raises:
            UsageError: they do not fit into memory, or have features beyond float16.
        """
        parts: list[np.ndarray] = []
        for start in range(0, size, 20):
            images = torch.stack([crop(i) for i in range(start, min(start + 20, size))])
            with torch.no_grad(), fast():
                front = split.front(_channels_last(images).to(DEVICE))
                target = whole(front)
                made = (front, target, split.tail(target))
            arrays = [tensor.half().cpu().numpy() for tensor in made]
            if not all(np.isfinite(array).all() for array in arrays):
                raise UsageError("its features exceed float16", "split it elsewhere with --split")
            if not parts:
                _check_memory(sum(array[0].nbytes for array in arrays) * size, size)
                parts = [np.empty((size, *array.shape[1:]), np.float16) for array in arrays]
            for part, array in zip(parts, arrays, strict=True):
                part[start : start + len(array)] = array
            if start % 400 == 0:
                say(f"crops {start} of {size}")
        return cls(*parts)


def _check_memory(needed: int, crops: int) -> None:
    """Refuse a pool that does not fit twice into memory: it is written to a file and read again."""
    free = psutil.virtual_memory().available
    if 2 * needed > free:
        raise UsageError(
            f"{crops} crops need {2 * needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} are free",
            f"give --crops {int(crops * free / (3 * needed))}, or --split at smaller features",
        )


def _channels_last(tensor: Tensor) -> Tensor:
    """Maps in the memory order in which convolutions are fastest; tokens unchanged."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def normalised(pixels: np.ndarray, preprocess: Preprocess) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W), by the mean and deviation of `preprocess`."""
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (preprocess.mean, preprocess.std))
    tensor = torch.from_numpy(pixels.copy()).movedim(-1, -3).float()
    return tensor / (255 * deviation) - mean / deviation


def fast() -> Any:
    """Compute in bfloat16 if the GPU or the processor can."""
    if DEVICE == "cuda":
        return torch.autocast(DEVICE, torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
    able = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return torch.autocast(DEVICE, torch.bfloat16, enabled=able)


class Training:
    """One run.

    Args:
        split: to train, on `DEVICE`.
        pool: the crops.
        iterations: how many; the learning rates fall along a cosine over them, at last to zero.
        seed: of the order of the crops and of the noise.
        began: when the work began, by the monotonic clock; None: now.
    """

    def __init__(
        self, split: GainedSplit, pool: Pool, iterations: int, seed: int, began: float | None = None
    ) -> None:
        self.split, self.pool, self.iterations, self.seed = split, pool, iterations, seed
        self.done = 0
        self._spent_s, self._began = 0.0, time.monotonic() if began is None else began
        bottleneck = split.bottleneck
        entropy = [p for n, p in bottleneck.entropy.named_parameters() if "quantiles" not in n]
        own = [p for n, p in bottleneck.named_parameters() if not n.startswith("entropy")]
        networks = [*split.before.parameters(), *split.after.parameters()]
        self.optimizer = torch.optim.Adam(
            [
                {"params": networks, "lr": _NETWORK},
                {"params": own, "lr": _BOTTLENECK},
                {"params": entropy, "lr": _ENTROPY},
            ]
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        quantiles = [p for n, p in bottleneck.entropy.named_parameters() if "quantiles" in n]
        self.quantiles = torch.optim.Adam(quantiles, lr=1e-2)
        # The features' variance, by which their squared error is divided.
        self.scale = float(np.var(pool.target[:200].astype(np.float32)))

    @property
    def seconds(self) -> float:
        """Since this run was first begun, without the time between a stop and its continuation."""
        return self._spent_s + time.monotonic() - self._began

    def start(self) -> None:
        """Principal components of the features at the cut."""
        with torch.no_grad():
            height, width = self.split.latent[1:]
            first = self.pool.front[: min(400, max(1, _POSITIONS // (height * width)))]
            front = torch.from_numpy(first).float().to(DEVICE)
            features = self.split.maps(self.split.before(front))
        deviation = float(features.std())
        self.split.bottleneck.fit(features, [deviation * step for step in _STEPS])

    def run(self, save_to: Path, say: Callable[[str], None]) -> None:
        """Run all remaining iterations."""
        began = time.monotonic()
        sums: list[Tensor] = []
        while self.done < self.iterations:
            sums.append(self._step())
            self.done += 1
            if self.done % _SAVE_EVERY == 0 or self.done == self.iterations:
                self.save(save_to)
                mean = torch.stack(sums).mean(0)
                pace = (time.monotonic() - began) / len(sums)
                left = f"about {math.ceil(pace * (self.iterations - self.done) / 60)} min left"
                said = "  ".join(f"{b:.0f} B {k:.2f}" for b, k in mean.tolist())
                say(f"{self.done} of {self.iterations}, {pace:.2f} s each, {left}: {said}")
                sums, began = [], time.monotonic()

    def _step(self) -> Tensor:
        """One batch; returns bytes and divergence of each rate, (rates, 2)."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            warm = min(1.0, (self.done + 1) / 100, (self.iterations - self.done) / _TAPER)
            group["lr"] = rate * warm * (1 + math.cos(math.pi * self.done / self.iterations)) / 2
        torch.manual_seed(self.seed * 1_000_003 + self.done)
        split, pool, rates = self.split, self.pool, len(TRADES)
        random = np.random.default_rng((self.seed, self.done))
        chosen = random.integers(len(pool.logits), size=rates * _EACH)
        front, target, logits = (
            torch.from_numpy(part[chosen]).float().to(DEVICE)
            for part in (pool.front, pool.target, pool.logits)
        )
        with fast():
            features = split.maps(split.before(_channels_last(front)))
        restored, kilobytes = [], []
        for rate, piece in enumerate(features.float().split(_EACH)):
            entropy: Any = split.bottleneck.entropy[rate]
            latent = split.bottleneck.latent(piece, rate)
            _, likelihoods = entropy(latent, training=True)
            rounded = entropy.quantize(latent, "dequantize", entropy._get_medians().detach())
            restored.append(split.bottleneck.restored(latent + (rounded - latent).detach(), rate))
            kilobytes.append(-likelihoods.log2().sum((1, 2, 3)) / 8000)
        with fast():
            made = split.after(split.own(torch.cat(restored)))
            answers = split.tail(made)
        error = (made.float() - target).square()
        difference = error.mean(tuple(range(1, error.dim()))) / self.scale
        divergence = F.kl_div(
            answers.float().log_softmax(1), logits.log_softmax(1), log_target=True, reduction="none"
        ).sum(1)
        size = torch.cat(kilobytes)
        trade = torch.tensor(TRADES, device=DEVICE).repeat_interleave(_EACH)
        (divergence + _FEATURES * difference + trade * size).mean().backward()
        nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        models: Any = split.bottleneck.entropy
        entropy_loss: Any = torch.stack([model.loss() for model in models]).sum()
        entropy_loss.backward()
        self.quantiles.step()
        self.quantiles.zero_grad()
        self.optimizer.zero_grad()
        shown = torch.stack([size.detach() * 1000, divergence.detach()], 1)
        return shown.view(rates, _EACH, 2).mean(1)

    # -- state -----------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Save all that a continued run needs, atomically."""
        state = {
            "seed": self.seed,
            "iterations": self.iterations,
            "done": self.done,
            "seconds": self.seconds,
            "weights": shipped(self.split),
            "optimizer": self.optimizer.state_dict(),
            "quantiles": self.quantiles.state_dict(),
        }
        write_atomic_with(str(path), lambda file: torch.save(state, file))

    def resume(self, path: Path) -> bool:
        """Continue from a saved state of the same seed and iterations; False without a readable one."""
        if not path.is_file():
            return False
        try:
            state = torch.load(path, weights_only=True, map_location=DEVICE)
        except (RuntimeError, EOFError, pickle.UnpicklingError):  # damaged
            return False
        if (state["seed"], state["iterations"]) != (self.seed, self.iterations):
            return False
        for name, module in trained(self.split).items():
            own = {k[len(name) + 1 :]: v for k, v in state["weights"].items() if k.startswith(name)}
            module.load_state_dict(own, strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.quantiles.load_state_dict(state["quantiles"])
        self.done, self._spent_s = state["done"], state.get("seconds", 0.0)
        return True
