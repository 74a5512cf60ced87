"""InceptionV3 as FID uses it: torchvision's blocks, with the three places where TensorFlow differs.

Szegedy et al. 2016, as ported by the file that Heusel et al. 2017 published their FID with. Against
torchvision's network: average pools leave the padding out of their count, the very last block takes
the maximum where the paper has the average, and there are 1008 classes, which features never reach.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torchvision.models.inception import (
    BasicConv2d,
    Inception3,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
)

DIM, CLASSES = 2048, 1008


def average(x: torch.Tensor) -> torch.Tensor:
    """Mean over the 3x3 neighbourhood's pixels inside the map; the zeros around it do not count."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def largest(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


class BlockA(InceptionA):
    """35x35 maps: 1x1, 5x5, two 3x3, pool."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fives = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), fives, threes, self.branch_pool(average(x))], 1)


class BlockC(InceptionC):
    """17x17 maps: 1x1, 7x7 cut in rows and columns once and twice, pool."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once, twice = self.branch7x7_1(x), self.branch7x7dbl_1(x)
        for layer in (self.branch7x7_2, self.branch7x7_3):
            once = layer(once)
        for layer in (self.branch7x7dbl_2, self.branch7x7dbl_3, self.branch7x7dbl_4,
                      self.branch7x7dbl_5):
            twice = layer(twice)
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(average(x))], 1)


class BlockE(InceptionE):
    """8x8 maps: 1x1, 3x3 fanned out into a row and a column once and twice, pool."""

    pool = staticmethod(average)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        fans = [self.branch3x3_2a(once), self.branch3x3_2b(once),
                self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)]
        return torch.cat([self.branch1x1(x), *fans, self.branch_pool(self.pool(x))], 1)


def blank_network() -> torch.nn.Module:
    """The whole network without values (on torch's meta device): the layout of the published file."""
    blocks = [BasicConv2d, BlockA, InceptionB, BlockC, InceptionD, BlockE, InceptionAux]
    with torch.device("meta"):  # no values, so no draws from torch's global generator either
        network = Inception3(CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False)
    network.Mixed_7c.pool = largest
    return network


def pool_network(state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """(b, 3, 299, 299) in [-1, 1] -> (b, 2048): the last average pool, in evaluation mode.

    state: {name: tensor} in the published file's layout, classes and all; counts of batches may be
    absent, as in files of old. A RuntimeError names what is missing, too many or of another shape.
    """
    network = blank_network()
    counts = {name: torch.tensor(0) for name in network.state_dict() if "num_batches" in name}
    network = network.to_empty(device="cpu")
    network.load_state_dict(counts | dict(state))
    network.fc = torch.nn.Identity()
    return network.eval().requires_grad_(False)
