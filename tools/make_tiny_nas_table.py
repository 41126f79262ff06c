"""Train tiny networks for real and write their accuracies as the table of `nas/tiny`.

    python tools/make_tiny_nas_table.py --cells 1500 --seeds 2 --out src/graphwright/tasks/nas/tiny
    python tools/make_tiny_nas_table.py --check 5

A network is a stem, then copies of one NAS-Bench-201 cell (Dong and Yang, arXiv 2001.00326) with
pooling, on small distorted handwritten digits (8 x 8 pixels, those inside scikit-learn, so that
nothing is downloaded). Cells are drawn without repeats from all 15,625 by one fixed seed; a longer
run only adds to a shorter one. The seeds of a cell (weights at the start, order of the images) are
trained side by side as one network of channel groups that never meet, which takes half the time. A
row depends on its cell and the number of seeds alone, not on the order, so that any row can be made
again. Each is appended to `--work` at once: a run that was killed goes on where it was. The table
is written at the end, or of what is there by `--pack`.

`--check N` trains N random rows of the table again and compares, exact to the last digit on the
machine and torch version that made it. One core; seconds are CPU seconds.

Legend: B = images of a batch, S = seeds, C = channels of all seeds, H, W = height and width.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import math
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

TABLE = Path(__file__).parents[1] / "src/graphwright/tasks/nas/tiny"
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # source, target; order of the string
NONE, SKIP, CONV1, CONV3, POOL = range(5)
KERNELS = {CONV1: 1, CONV3: 3}
SPACE_SIZE, SAMPLE_SEED, DATA_SEED = 5**6, 201, 0
CHANNELS, CELLS, CLASSES = 16, 2, 10
STEPS, BATCH, RATE = 100, 32, 0.1
TRAIN_DIGITS, TRAIN_COPIES, VALIDATION_COPIES = 500, 6, 2
ROTATION, SHIFT, SCALE, NOISE = 12.0, 0.7, 0.2, 0.12  # degrees, pixels, share, of full brightness


class Images(NamedTuple):
    """Distorted digits `[B, 8, 8]` (standardised) and their classes `[B]`."""

    train: Tensor
    train_class: Tensor
    validation: Tensor
    validation_class: Tensor


class Cell(nn.Module):
    """One NAS-Bench-201 cell; an operation is ReLU, convolution, batch norm.

    Nothing (`None`) comes out of `none` and of every operation on nothing. Operations from which no
    path leads to the output are not computed, but their weights are there and counted.
    """

    def __init__(self, arch: str, seeds: int) -> None:
        super().__init__()
        self.codes = [int(digit) for digit in arch]
        self.operations = nn.ModuleList(_operation(code, seeds) for code in self.codes)
        self.useful = _reach_output(self.codes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Sum of what arrives at the fourth node; zeros where nothing does."""
        nodes: list[Tensor | None] = [x_BCHW, None, None, None]
        for (source, target), code, operation in zip(
            EDGES, self.codes, self.operations, strict=True
        ):
            value = nodes[source]
            if value is None or code == NONE or target not in self.useful:
                continue
            out, before = operation(value), nodes[target]
            nodes[target] = out if before is None else before + out
        return torch.zeros_like(x_BCHW) if nodes[3] is None else nodes[3]


def _operation(code: int, seeds: int) -> nn.Module:
    if code in KERNELS:
        convolution = _convolution(CHANNELS, KERNELS[code], seeds)
        return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(seeds * CHANNELS))
    if code == POOL:
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()


def _convolution(channels_in: int, size: int, seeds: int) -> nn.Conv2d:
    shape = (seeds * channels_in, seeds * CHANNELS, size)
    return nn.Conv2d(*shape, padding=size // 2, bias=False, groups=seeds)


def _reach_output(codes: list[int]) -> set[int]:
    useful = {3}
    for (source, target), code in reversed(list(zip(EDGES, codes, strict=True))):
        if target in useful and code != NONE:
            useful.add(source)
    return useful


def build(arch: str, seeds: int = 1) -> nn.Module:
    """The networks of a cell, one a seed: `[B, S, 8, 8]` to `[B, 10 S]`."""
    channels = seeds * CHANNELS
    return nn.Sequential(
        _convolution(1, 3, seeds),
        nn.BatchNorm2d(channels),
        nn.AvgPool2d(2),
        *(Cell(arch, seeds) for _ in range(CELLS)),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, seeds * CLASSES, 1, groups=seeds),
        nn.Flatten(),
    )


def params(arch: str) -> int:
    """Weights of one whole network, those of useless operations too, as NAS-Bench-201 counts."""
    return sum(parameter.numel() for parameter in build(arch).parameters())


def macs(arch: str) -> int:
    """Multiplications of convolutions and the last layer for one image, useless ones too."""
    per_pixel = sum(KERNELS.get(int(digit), 0) ** 2 for digit in arch) * CHANNELS**2
    return 8 * 8 * 9 * CHANNELS + CELLS * 4 * 4 * per_pixel + CHANNELS * CLASSES


def load_images() -> Images:
    """The digits, split and distorted by one fixed seed: the same for every cell and seed."""
    from sklearn.datasets import load_digits  # needed by this tool alone

    digits, rng = load_digits(), np.random.default_rng(DATA_SEED)
    order = rng.permutation(len(digits.target))
    pixels, classes = digits.images[order] / 16, digits.target[order]
    train = _distorted(np.tile(pixels[:TRAIN_DIGITS], (TRAIN_COPIES, 1, 1)), rng)
    validation = _distorted(np.tile(pixels[TRAIN_DIGITS:], (VALIDATION_COPIES, 1, 1)), rng)
    mean, deviation = train.mean(), train.std()
    return Images(
        torch.from_numpy((train - mean) / deviation).float(),
        torch.from_numpy(np.tile(classes[:TRAIN_DIGITS], TRAIN_COPIES)),
        torch.from_numpy((validation - mean) / deviation).float(),
        torch.from_numpy(np.tile(classes[TRAIN_DIGITS:], VALIDATION_COPIES)),
    )


def _distorted(pixels_BHW: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Every image turned, scaled, moved and with noise."""
    out, centre = np.empty_like(pixels_BHW), np.full(2, 3.5)
    for row, image in enumerate(pixels_BHW):
        angle = math.radians(rng.uniform(-ROTATION, ROTATION))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turn /= rng.uniform(1 - SCALE, 1 + SCALE)
        offset = centre - turn @ (centre + rng.uniform(-SHIFT, SHIFT, 2))
        out[row] = ndimage.affine_transform(image, turn, offset, order=1)
    return out + rng.normal(0, NOISE, out.shape)


def accuracies(arch: str, seeds: int, images: Images) -> list[float]:
    """Train a cell once with every seed; shares `[S]` of validation images that are right."""
    # channels last: pooling and convolution of so few channels are 1.3 times as fast
    network = build(arch, seeds).to(memory_format=torch.channels_last).train()
    orders_SN = torch.stack(_start(network, arch, seeds, len(images.train)))
    optimizer = torch.optim.SGD(
        network.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    for step, rows_SB in enumerate(orders_SN.split(BATCH, 1)):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        scores = _scores(network, images.train[rows_SB].movedim(0, 1))
        # mean over the images, sum over the seeds: each has the gradient that it has alone
        loss = seeds * functional.cross_entropy(scores, images.train_class[rows_SB.T])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _right(network.eval(), seeds, images)


def _start(network: nn.Module, arch: str, seeds: int, count: int) -> list[Tensor]:
    """Give every group the weights of its seed; the rows `[STEPS * BATCH]` that each trains on."""
    singles, orders = [], []
    for seed in range(seeds):
        # 32 bits: torch's CPU generator ignores all above
        torch.manual_seed(zlib.crc32(f"{arch}/{seed}".encode()))
        singles.append(build(arch))
        epochs = [torch.randperm(count) for _ in range(1 + STEPS * BATCH // count)]
        orders.append(torch.cat(epochs)[: STEPS * BATCH])
    with torch.no_grad():
        parts = zip(*(single.parameters() for single in singles), strict=True)
        for parameter, part in zip(network.parameters(), parts, strict=True):
            parameter.copy_(torch.cat(part))
    return orders


def _scores(network: nn.Module, pixels_BSHW: Tensor) -> Tensor:
    """`[B, 10, S]`."""
    out: Tensor = network(pixels_BSHW.contiguous(memory_format=torch.channels_last))
    return out.unflatten(1, (-1, CLASSES)).movedim(1, 2)


@torch.inference_mode()
def _right(network: nn.Module, seeds: int, images: Images) -> list[float]:
    parts = images.validation[:, None].expand(-1, seeds, -1, -1).split(256)
    found_BS = torch.cat([_scores(network, part).argmax(1) for part in parts])
    shares: list[float] = (found_BS == images.validation_class[:, None]).double().mean(0).tolist()
    return shares


def sample(count: int) -> list[str]:
    """The first `count` cells of a fixed shuffle of all, as six digits."""
    order = np.random.default_rng(SAMPLE_SEED).permutation(SPACE_SIZE)[:count]
    return [np.base_repr(code, 5).zfill(6) for code in order.tolist()]


def read_results(path: Path) -> dict[str, list[str]]:
    """Accuracies and seconds of the cells that are done; a line cut off by a kill is left out."""
    text = path.read_text() if path.exists() else ""
    rows = [line.split(",") for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return {arch: [value.strip() for value in values] for arch, *values in rows}


def train_missing(cells: list[str], seeds: int, work: Path) -> None:
    """Train what is not yet in `work`, one line a cell."""
    done, images = read_results(work), load_images()
    work.write_text("".join(",".join([arch, *values]) + "\n" for arch, values in done.items()))
    todo = [arch for arch in cells if arch not in done]
    with work.open("a") as file:
        for count, arch in enumerate(todo, 1):
            start = time.process_time()
            values = [f"{value:.5f}" for value in accuracies(arch, seeds, images)]
            seconds = f"{time.process_time() - start:.2f}"
            file.write(",".join([arch, *values, seconds]) + "\n")
            file.flush()
            if count % 100 == 0:
                print(f"{count} of {len(todo)} cells, {time.process_time():.0f} s", flush=True)


def pack(cells: list[str], seeds: int, work: Path, folder: Path) -> int:
    """Write `table.csv.gz` of the cells that are done, equal bytes from equal results."""
    results, text = read_results(work), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"acc_seed{seed}" for seed in range(seeds)]
    writer.writerow(["arch", *names, "val_acc", "params", "macs", "train_seconds"])
    done = [arch for arch in cells if arch in results]
    for arch in done:
        *values, seconds = results[arch]
        mean = sum(map(float, values)) / seeds
        writer.writerow([arch, *values, f"{mean:.6f}", params(arch), macs(arch), seconds])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "table.csv.gz").open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as file,
    ):
        file.write(text.getvalue().encode())
    return len(done)


def check(count: int, folder: Path) -> int:
    """Train random rows of the table again; the number of rows that differ."""
    with gzip.open(folder / "table.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = [name for name in rows[0] if name.startswith("acc_seed")]
    images, differ = load_images(), 0
    for number in np.random.default_rng().choice(len(rows), count, replace=False).tolist():
        row = rows[number]
        was = [row[name] for name in seeds]
        now = [f"{value:.5f}" for value in accuracies(row["arch"], len(seeds), images)]
        differ += now != was
        print(row["arch"], "table", *was, "again", *now, "equal" if now == was else "DIFFERENT")
    return differ


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cells", type=int, default=1500, help="how many cells (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (%(default)s)")
    parser.add_argument("--out", type=Path, default=TABLE, help="folder of the table")
    parser.add_argument(
        "--work", type=Path, default=Path("tiny_results.csv"), help="results so far"
    )
    parser.add_argument("--pack", action="store_true", help="write the table of what is there")
    parser.add_argument("--check", type=int, default=0, metavar="N", help="train N rows again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if options.check:
        raise SystemExit(check(options.check, options.out) > 0)
    cells = sample(options.cells)
    if not options.pack:
        train_missing(cells, options.seeds, options.work)
    count = pack(cells, options.seeds, options.work, options.out)
    print(f"{count} cells in {options.out / 'table.csv.gz'}")


if __name__ == "__main__":
    main()
