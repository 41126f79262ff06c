"""Search a cell for handwritten digits: a trainer of your own, and the search around it.

    python examples/search_digits.py --out digits_search

The trainer is the function `train`: it builds the network that a cell describes, trains it for a
few seconds and gives the accuracy on held-out images. The search is the command that a user would
type; stop it with Ctrl-C (or kill it) and it goes on with --resume.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

SIZE, CLASSES = 12, 10
# strokes of the ten digits on seven segments: top, left top, right top, middle, …
SEGMENTS = ("1110111", "0010010", "1011101", "1011011", "0111010",
            "1101011", "1101111", "1010010", "1111111", "1111011")  # fmt: skip
LINES = ((0, 0, 0, 1), (0, 0, 1, 0), (0, 1, 1, 1), (1, 0, 1, 1),
         (1, 0, 2, 0), (1, 1, 2, 1), (2, 0, 2, 1))  # fmt: skip


def train(arch: str, seed: int) -> float:
    """Accuracy of the cell `arch` ("|nor_conv_3x3~0|+|…|") on images it was not trained on."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    images, labels = draw_digits(1500, np.random.default_rng(seed))
    network = Network(arch)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(300):
        rows = torch.randint(1000, (64,))
        loss = cross_entropy(network(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}")  # goes to the log of this training
    network.eval()
    with torch.no_grad():
        right = network(images[1000:]).argmax(1) == labels[1000:]
    return right.float().mean().item()


class Network(nn.Module):
    """A stem, one cell of NAS-Bench-201, and a linear layer."""

    def __init__(self, arch: str, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.edges = nn.ModuleList()
        self.ends: list[tuple[int, int]] = []
        for target, text in enumerate(arch.split("+"), 1):
            for word in text.strip("|").split("|"):
                name, source = word.split("~")
                self.ends.append((int(source), target))
                self.edges.append(operation(name, channels))
        self.head = nn.Linear(channels, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, 10] of images [B, 1, 12, 12]."""
        nodes = [self.stem(images).relu()]
        for target in (1, 2, 3):
            coming = [
                edge(nodes[source])
                for edge, (source, end) in zip(self.edges, self.ends, strict=True)
                if end == target
            ]
            nodes.append(torch.stack(coming).sum(0))
        return self.head(nodes[-1].mean((2, 3)))


class Zero(nn.Module):
    """Nothing passes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def operation(name: str, channels: int) -> nn.Module:
    """The operation on an edge of a cell."""
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    size = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name]
    convolution = nn.Conv2d(channels, channels, size, padding=size // 2)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels))


def draw_digits(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Noisy, shifted seven-segment digits: images [count, 1, 12, 12] and labels [count]."""
    labels = rng.integers(CLASSES, size=count)
    images = rng.normal(0, 0.35, (count, 1, SIZE, SIZE))
    for image, label in zip(images[:, 0], labels, strict=True):
        top, left = rng.integers(0, 4), rng.integers(0, 6)
        for on, (y0, x0, y1, x1) in zip(SEGMENTS[label], LINES, strict=True):
            if on == "1":
                rows = slice(top + 4 * y0, top + 4 * y1 + 1)
                image[rows, left + 4 * x0 : left + 4 * x1 + 1] += 0.8
    return torch.tensor(images, dtype=torch.float32), torch.tensor(labels)


def main() -> None:
    """Start the search as a user would."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("digits_search"))
    parser.add_argument("more", nargs="*", help="options of graphwright nas search, after --")
    args = parser.parse_args()
    words = [
        sys.executable, "-m", "graphwright", "nas", "search",
        "--space", "tiny_cells", "--function", "search_digits:train", "--workers", "2",
        "--initial", "12", "--batch", "8", "--budget", "36", "--time-limit", "120",
        "--runs-root", str(args.out.absolute() / "runs"),
        "--data-root", str(args.out.absolute() / "data"), *args.more,
    ]  # fmt: skip
    print("$ graphwright", *words[3:], flush=True)
    subprocess.run(words, check=True, cwd=Path(__file__).parent)


if __name__ == "__main__":
    main()
