"""Models and data as users bring them to a study: sound ones, and every kind of broken one."""

import os
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset


class Net(nn.Module):
    """Two hidden layers, with what draws while it trains: dropout and a batch norm."""

    def __init__(self, outputs=3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.2),
            nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, outputs),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


class Slow(Net):
    """Time to press Ctrl-C."""

    def forward(self, x):
        time.sleep(0.002)
        return super().forward(x)


def build():
    return Net()


def slow():
    return Slow()


def plain():
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    )


def regressor():
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))


def tagger():
    return nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(8 * 6, 2))


def lazy():
    return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(3))


def pixels():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def in_place():
    return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 3))


# --- sound data ---


def arrays(rows=120):
    draw = np.random.default_rng(0)
    inputs = draw.standard_normal((rows, 8))
    return inputs, (inputs @ draw.standard_normal((8, 3))).argmax(axis=1)


def tensors():
    inputs, targets = arrays()
    return torch.from_numpy(inputs).bfloat16().requires_grad_(), torch.from_numpy(targets)


def data_set():
    inputs, targets = arrays()
    return TensorDataset(torch.from_numpy(inputs), torch.from_numpy(targets))


class Items(Dataset):
    """A list of arrays and plain integers."""

    def __len__(self):
        return 120

    def __getitem__(self, index):
        inputs, targets = arrays()
        return inputs[index].astype("float32"), int(targets[index])


class Stream(IterableDataset):
    """Rows one after another."""

    def __iter__(self):
        return iter(Items()[k] for k in range(120))


def shuffled():
    return DataLoader(data_set(), batch_size=32, shuffle=True)


def train_and_test():
    return data_set(), shuffled()


def pairs():
    """Read-only, as from a memory map."""
    both = arrays(), arrays(40)
    for array in (*both[0], *both[1]):
        array.flags.writeable = False
    return both


def singles():
    inputs, targets = arrays()
    return inputs.astype("float32"), targets


def four():
    return (*arrays(), *arrays(40))


def strided():
    inputs, targets = arrays()
    inputs = np.asfortranarray(inputs)[::-1]
    inputs.flags.writeable = targets.flags.writeable = False
    return inputs, targets[::-1]


def half():
    inputs, targets = arrays()
    return inputs.astype("float16"), targets.astype("uint64")


def other_endian():
    inputs, targets = arrays()
    return inputs.astype(">f8"), targets.astype(">i2")


def gaps():
    inputs, targets = arrays()
    return inputs, 2 * (targets > 0)


def twenty():
    return arrays(20)


def images():
    draw = np.random.default_rng(0)
    targets = np.arange(90) % 3
    pixels = draw.integers(0, 256, (90, 4, 4))
    pixels[:, 0, 0] = 100 * targets
    return pixels.astype("uint8"), targets


def words():
    draw = np.random.default_rng(0)
    inputs = draw.integers(0, 20, (100, 6))
    return inputs, (inputs[:, 0] > 9)


def quantities():
    inputs, _ = arrays()
    return inputs, inputs[:, :1] - inputs[:, 1:2] ** 2


def restless():
    """Random without a seed of its own."""
    inputs, targets = arrays()
    return inputs + np.random.standard_normal(inputs.shape) * torch.rand(1).item(), targets


# --- broken models ---

ONE = Net()


def raising():
    raise RuntimeError("no weights here\nsecond line")


def leaving():
    sys.exit("usage: train.py")


def with_argument(width):
    return Net(width)


def class_itself():
    return Net


def nothing():
    return None


def state():
    return Net().state_dict()


def same_each_time():
    return ONE


def unseeded():
    model = Net()
    model.body[0].weight.data += torch.tensor(list(os.urandom(16 * 8))).reshape(16, 8)
    return model


class Silent(nn.Module):
    """Nothing to train."""

    def forward(self, x):
        return x[:, :3]


def frozen():
    return Net().requires_grad_(False)


class Two(Net):
    """Logits and something else."""

    def forward(self, x):
        return super().forward(x), x


class Named(Net):
    """Logits by name."""

    def forward(self, x):
        return {"logits": super().forward(x)}


class TwoWhileTraining(Net):
    """Another output in training mode."""

    def forward(self, x):
        return (super().forward(x), x) if self.training else super().forward(x)


class Detached(Net):
    """No gradient reaches the weights."""

    def forward(self, x):
        return super().forward(x).detach()


class FailsLater(Net):
    """Sound for some steps."""

    calls = 0

    def forward(self, x):
        FailsLater.calls += self.training
        if FailsLater.calls > 12:
            raise ValueError("the pipe burst\nand more")
        return super().forward(x)


def two_outputs():
    return Net(outputs=2)


# --- broken data ---


def changed(**parts):
    inputs, targets = arrays()
    return parts.get("inputs", lambda x: x)(inputs), parts.get("targets", lambda y: y)(targets)


def holed(x, hole):
    x = x.copy()
    x[7, 2] = x[9] = hole
    return x


def with_nan():
    return changed(inputs=lambda x: holed(x, np.nan))


def with_infinity():
    return changed(inputs=lambda x: holed(x, np.inf))


def target_nan():
    return changed(targets=lambda y: np.where(y == 2, np.nan, y))


def strings():
    return changed(targets=lambda y: np.array(["cat", "dog", "owl"])[y])


def objects():
    return changed(inputs=lambda x: x.astype(object))


def whole_floats():
    return changed(targets=lambda y: y.astype(float))


def from_one():
    return changed(targets=lambda y: y + 1)


def negative():
    return changed(targets=lambda y: y - 1)


def one_hot():
    return changed(targets=lambda y: np.eye(3, dtype=int)[y])


def huge_label():
    return changed(targets=lambda y: y * 10**12)


def one_class():
    return changed(targets=lambda y: 0 * y)


def constant():
    return changed(targets=lambda y: 0.0 * y)


def unequal():
    return changed(targets=lambda y: y[:-1])


def few():
    return arrays(19)


def columns():
    return changed(inputs=lambda x: x[:, :5])


def test_columns():
    return arrays(), columns()


def enormous():
    return changed(inputs=lambda x: x * 1e30)


def dictionaries():
    return DataLoader([{"x": torch.zeros(8), "y": 0} for _ in range(40)])


def ragged():
    return DataLoader([(torch.zeros(k), 0) for k in range(40)], batch_size=8)


def empty():
    return DataLoader([])


def triples():
    return (*arrays(), None)


def lists():
    inputs, targets = arrays()
    return inputs.tolist(), targets.tolist()
