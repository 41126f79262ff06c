"""Small networks of every kind that `from_module` must understand, made of torch.nn pieces."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "Attention",
    "Branches",
    "Dense",
    "Depthwise",
    "Dynamic",
    "Functional",
    "Recurrent",
    "Residual",
    "ShapeDependent",
    "Shared",
    "UNet",
    "encoder",
    "plain",
    "resnet_like",
]


def plain() -> nn.Module:
    """Convolution, normalisation, pooling, classifier."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(8, 10),
    )


class Residual(nn.Module):
    """y = relu(x + f(x))."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding="same", dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(functional.relu(self.first(x)))
        y += x
        return functional.relu(y)


class Dense(nn.Module):
    """Each layer sees all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(2 + 3 * i, 3, 1) for i in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, dim=1)))
        return torch.cat(features, 1)


class UNet(nn.Module):
    """Down, up, and a connection across."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.bottom = nn.Conv2d(4, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        across = self.down(x)
        y = self.up(self.bottom(self.pool(across)))
        return self.out(torch.concat([across, y], dim=1))


def encoder() -> nn.Module:
    """Two layers of a transformer."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=True)
    return nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(16))


class Recurrent(nn.Module):
    """Embedding, LSTM, the last step's output and state."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        y, (state, _) = self.lstm(self.words(tokens))
        return self.head(y[:, -1]) + state.mean()


class Shared(nn.Module):
    """One module, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.layer(x)))


class Attention(nn.Module):
    """A learned query over a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, bias=False, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x = x * mask
        query = self.query.expand(x.size(0), -1, -1)
        y, _ = self.attention(query, x, x, need_weights=False)
        return y.squeeze(1)


class Functional(nn.Module):
    """Functions and methods only."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 4))
        self.register_buffer("scale", torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(x, self.weight) * self.scale
        y = functional.leaky_relu(y, negative_slope=0.2).view(x.shape[0], 2, 3)
        y = functional.interpolate(y, scale_factor=2, mode="linear")
        return functional.softmax(y.flatten(1), dim=-1).sub_(0.5)


class Branches(nn.Module):
    """An inception block: three ways at once."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 2, 1)
        self.two = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Conv2d(2, 3, 5, padding=2))
        self.three = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.two(x), self.three(x)], dim=1)


class Depthwise(nn.Module):
    """Grouped and depthwise convolutions, a shuffle of channels between."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(8, 16, 3, padding=1, groups=4)
        self.depthwise = nn.Conv2d(16, 16, (5, 3), padding=(2, 1), groups=16)
        self.pointwise = nn.Conv2d(16, 4, 1)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.grouped(x)
        b, c, h, w = y.shape
        y = y.view(b, 4, c // 4, h, w).transpose(1, 2).reshape(b, c, h, w)
        left, right = self.depthwise(y).chunk(2, dim=1)
        return self.activation(self.pointwise(torch.cat([left, right * 2], 1)))


class _Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x
        return -x


class Dynamic(nn.Module):
    """Its course depends on values: no graph says what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.gate = _Gate()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.layer(x))


class ShapeDependent(nn.Module):
    """Its course depends on a shape; torch.export follows it where the shape is known."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.lstm = nn.LSTM(16, 5)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        while y.shape[-1] > 4:
            y = functional.max_pool2d(y, 2)
        y = self.activation(y) + y
        return self.lstm(y.flatten(2))[0]


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride != 1 or channels != 4 * width:
            conv = nn.Conv2d(channels, 4 * width, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.shortcut is None else self.shortcut(x)
        return self.relu(y)


def resnet_like() -> nn.Module:
    """As large as a ResNet-50: 25.6 million parameters, 53 convolutions."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)]
    layers += [nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for i in range(depth):
            layers.append(_Bottleneck(channels, width, 2 if i == 0 and width > 64 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))
