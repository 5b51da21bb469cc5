"""Small networks of every kind that users bring, each with the input that it takes.

`ZOO`: name -> maker of (network, image batch, options of `capture`). Weights are drawn so that
neurons fire. Most are written as their owners would write them, none with this project in mind.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from spikingjelly.activation_based import ann2snn, functional, layer, neuron, surrogate
from torch import Tensor, nn

T = 3
SHAPE = (3, 12, 12)


class Case(NamedTuple):
    """A network, its images (image, ...), what `capture` is told, and how many neurons fire."""

    network: Callable[..., Any]
    images: Any
    options: dict[str, Any]
    neurons: int


def pictures(count: int = 2, shape: tuple[int, ...] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


def repeated(x: Tensor) -> Tensor:
    return x.unsqueeze(0).repeat(T, 1, 1, 1, 1)


def lif(**options: Any) -> nn.Module:
    return neuron.LIFNode(v_threshold=0.1, **options)


def multi_step(network: nn.Module, neurons: int, **options: Any) -> Case:
    functional.set_step_mode(network, "m")
    return Case(network, pictures(), {"prepare": repeated, **options}, neurons)


class Base(nn.Module):
    """Three convolutions with neurons, multi-step."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.c1 = layer.Conv2d(3, channels, 3, padding=1)
        self.c2 = layer.Conv2d(channels, channels, 3, padding=1)
        self.c3 = layer.Conv2d(channels, channels, 3, padding=1)
        self.n1, self.n2, self.n3 = lif(), lif(), lif()
        functional.set_step_mode(self, "m")


class Plain(Base):
    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x))
        return self.n3(self.c3(a + self.n2(self.c2(a))))


class Joined(Base):
    """Joins the spikes of two layers."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor], channels: int = 8) -> None:
        super().__init__()
        self.join = join
        if channels != 8:
            self.c3 = layer.Conv2d(channels, 8, 3, padding=1, step_mode="m")

    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x))
        return self.n3(self.c3(self.join(a, self.n2(self.c2(a)))))


def added_through_a_view(a: Tensor, b: Tensor) -> Tensor:
    b.view(b.shape).add_(a)
    return b


class SharedConvolution(Base):
    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x))
        b = self.n2(self.c2(a))
        return self.n3(self.c2(b))


class SharedNeuron(Base):
    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x))
        self.n1.reset()
        b = self.n1(self.c2(a))
        return self.n3(self.c3(b))


class Outputs(Base):
    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x))
        return {"spikes": self.n3(self.c3(a)), "all": (a, [a.mean()])}


def windows() -> nn.Module:
    """Depthwise, grouped, dilated, strided, transposed convolutions."""
    return nn.Sequential(
        layer.Conv2d(3, 8, 3, padding=1), lif(),
        layer.Conv2d(8, 8, 3, padding=1, groups=8), lif(),
        layer.Conv2d(8, 16, 3, padding=2, dilation=2, groups=2), lif(),
        layer.Conv2d(16, 8, 3, stride=2, padding=1), lif(),
        layer.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), lif(),
        layer.Conv2d(4, 4, 1, groups=2), lif(),
    )  # fmt: skip


def pools() -> nn.Module:
    """Every pool, and a linear layer on flattened maps."""
    return nn.Sequential(
        layer.Conv2d(3, 8, 3, padding=1, bias=False), layer.BatchNorm2d(8), lif(),
        layer.MaxPool2d(2, 2),
        layer.Conv2d(8, 8, 3, padding=1), lif(), layer.AvgPool2d(3, 3),
        layer.Conv2d(8, 8, 3, padding=1), lif(), layer.AdaptiveAvgPool2d(1),
        layer.Flatten(), layer.Dropout(0.5), layer.Linear(8, 10), lif(),
    )  # fmt: skip


class Ranks(nn.Module):
    """Convolutions of one and three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv1d(3, 8, 5, padding=2)
        self.three = nn.Conv3d(1, 4, 3, padding=1)
        self.n1, self.n2 = lif(step_mode="m"), lif(step_mode="m")
        self.end = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        steps, batch = x.shape[:2]
        a = self.n1(self.one(x.flatten(0, 1).flatten(2)).unflatten(0, (steps, batch)))
        b = self.three(a.flatten(0, 1).unflatten(2, (12, 12)).unsqueeze(1))
        b = self.n2(b.unflatten(0, (steps, batch)))
        return self.end(b.mean((2, 4, 5)))


class Attention(nn.Module):
    """Self-attention as every public repository writes it by hand; `how`: the order of products."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.heads = how, 2
        self.patches = layer.Conv2d(3, 16, 4, stride=4, step_mode="m")
        self.n0, self.na, self.np = (lif(step_mode="m") for _ in range(3))
        self.qkv = nn.Linear(16, 48)
        self.nq = lif(step_mode="m")
        self.proj, self.end = nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Any:
        x = self.n0(self.patches(x)).flatten(3).transpose(2, 3)
        steps, batch, tokens, width = x.shape
        parts = self.nq(self.qkv(x)).chunk(3, 3)
        q, k, v = (
            p.reshape(steps, batch, tokens, self.heads, -1).permute(0, 1, 3, 2, 4) for p in parts
        )
        if self.how == "scores":
            y = (q @ k.transpose(-2, -1)) @ v * 0.25
        elif self.how == "linear":
            y = q @ (k.transpose(-2, -1) @ v) * 0.25
        elif self.how == "einsum":
            scores = torch.einsum("tbhnd,tbhmd->tbhnm", q, k)
            y = torch.einsum("tbhnm,tbhmd->tbhnd", scores, v) * 0.25
        else:
            y = F.scaled_dot_product_attention(q, k, v)
        y = self.na(y.transpose(2, 3).reshape(steps, batch, tokens, width))
        return self.end((x + self.np(self.proj(y))).mean(2)).mean(0)


class Halting(nn.Module):
    """Tokens that halt by a rule of the user's own, in a loop over time."""

    def __init__(self, tell: bool = True, lie: bool = False) -> None:
        super().__init__()
        self.tell, self.lie = tell, lie
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.n0, self.n1, self.n2 = lif(), lif(), lif()
        self.one, self.two, self.end = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Any:
        from models.capturing import active

        total, score, alive = 0, 0.0, None
        for _ in range(T):
            y = self.n0(self.patches(x).flatten(2).transpose(1, 2))
            alive = torch.ones_like(y[..., :1]) if alive is None else alive
            if self.tell:
                alive = active(alive, "first")
            y = y * (1 if self.lie else alive)
            z = self.n1(self.one(y)) * alive
            score = score + z.mean(2, keepdim=True)
            alive = alive * (score < 0.4)
            if self.tell:
                alive = active(alive, "second")
            y = self.n2(self.two(z * alive)) * alive
            total = total + self.end(y.mean(1))
        return total


class Fire(torch.autograd.Function):
    """A user's own surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v > 0).float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class PlainTorch(nn.Module):
    """Neurons written out in a loop, with a soft reset."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.out = nn.Conv2d(3, 8, 3), nn.Linear(800, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Any:
        v1 = v2 = v3 = 0.0
        total = 0
        for _ in range(T):
            v1 = 0.9 * v1 + self.conv(x)
            s1 = Fire.apply(v1 - 0.3)
            v1 = v1 - s1 * 0.3
            v2 = 0.9 * v2 + self.fc(s1.flatten(1))
            s2 = Fire.apply(v2 - 0.2)
            v2 = v2 - s2 * 0.2
            v3 = 0.9 * v3 + self.out(s2)
            total = total + v3
        return total


class SingleStep(nn.Module):
    """SpikingJelly neurons one step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.f = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(200, 10)
        self.n1, self.n2 = lif(), neuron.IFNode(v_threshold=0.3)
        self.n3 = neuron.ParametricLIFNode(v_threshold=0.1)
        self.g = nn.Linear(10, 6)

    def forward(self, x: Tensor) -> Any:
        return sum(
            self.n3(self.g(self.n2(self.f(self.n1(self.c(x)).flatten(1))))) for _ in range(T)
        )


def many_neurons() -> nn.Module:
    """All neurons of SpikingJelly that work in steps."""
    kinds = [
        neuron.LIFNode(v_threshold=0.1, v_reset=None), neuron.IFNode(v_threshold=0.2),
        neuron.ParametricLIFNode(v_threshold=0.1),
        neuron.EIFNode(v_threshold=0.1, v_rest=0.0, theta_rh=0.05),
        neuron.KLIFNode(v_threshold=0.1), neuron.QIFNode(v_threshold=0.1, v_rest=0.0, v_c=0.05),
    ]  # fmt: skip
    parts: list[nn.Module] = []
    for at, node in enumerate(kinds):
        parts += [layer.Conv2d(3 if at == 0 else 8, 8, 3, padding=1), node]
    return nn.Sequential(*parts)


class Parallel(nn.Module):
    """The neurons that see all timesteps at once."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        node = neuron.SlidingPSN if causal else neuron.PSN
        self.c1, self.c2 = (layer.Conv2d(i, 8, 3, padding=1, step_mode="m") for i in (3, 8))
        self.n1 = node(k=2, step_mode="m") if causal else node(T=T)
        nn.init.constant_(self.n1.bias, -0.1)
        self.n2 = lif(step_mode="m")

    def forward(self, x: Tensor) -> Any:
        return self.n2(self.c2(self.n1(self.c1(x))))


class Recurrent(nn.Module):
    """A layer that reads its own spikes of one timestep before."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.r, self.o = nn.Linear(27, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.n = lif()

    def forward(self, x: Tensor) -> Any:
        spikes = torch.zeros(1, 16)
        total = 0
        for step in range(T):
            spikes = self.n(self.f(x[step].flatten(1)[:, :27]) + self.r(spikes))
            total = total + self.o(spikes)
        return total


class Voting(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            layer.Conv2d(3, 4, 3, stride=2), lif(), layer.Flatten(), layer.Linear(100, 20), lif(),
            layer.VotingLayer(10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Any:
        return super().forward(x).mean(0)


class Poisson(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.n = nn.Conv2d(3, 8, 3, padding=1), lif()
        self.f = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        total = 0
        for _ in range(T):
            coded = (torch.rand_like(x) <= x).float()
            total = total + self.f(self.n(self.c(coded)).mean((2, 3)))
        return total


class Softmax(Base):
    """An ordinary attention in front of spikes: real operands."""

    def forward(self, x: Tensor) -> Any:
        a = self.n1(self.c1(x)).flatten(3).transpose(2, 3)
        weights = torch.softmax(a @ a.transpose(-2, -1) / 3, -1)
        b = F.layer_norm(weights @ a, (8,)).transpose(2, 3).unflatten(3, (12, 12))
        return self.n3(self.c3(b))


class Multihead(nn.Module):
    """PyTorch's own attention, between spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = layer.Conv2d(3, 16, 4, stride=4, step_mode="m")
        self.n1, self.n2 = lif(step_mode="m"), lif(step_mode="m")
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.end = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Any:
        y = self.n1(self.patches(x)).flatten(3).transpose(2, 3).flatten(0, 1)
        y = self.attention(y, y, y, need_weights=False)[0].unflatten(0, (T, 1))
        return self.end(self.n2(y).mean(2))


class Buffered(nn.Module):
    """Writes each timestep into its place of a buffer; the input never changes."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.n1, self.n2 = lif(), lif(step_mode="m")

    def forward(self, x: Tensor) -> Any:
        out = torch.zeros(T, 8, 12, 12)
        current = self.c1(x)
        for step in range(T):
            out[step] = self.n1(current)[0]
        return self.n2(self.c2(out).unsqueeze(1))


class Mixed(Base):
    """Two inputs: a picture and a vector that is added to its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(5, 8)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        a = self.c1(repeated(x)) + self.f(y)[None, :, :, None, None]
        return self.n3(self.c3(self.n1(a)))


class BFloat(Base):
    def forward(self, x: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            a = self.n1(self.c1(x))
            return self.n3(self.c3(self.n2(self.c2(a))))


def sew(mode: str = "ADD") -> nn.Module:
    from spikingjelly.activation_based.model import sew_resnet

    net = sew_resnet.sew_resnet18(
        pretrained=False, cnf=mode, spiking_neuron=neuron.IFNode, detach_reset=True,
        surrogate_function=surrogate.ATan(), num_classes=4,
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, 0.1, 0.9)
    return net


def converted() -> Case:
    torch.manual_seed(0)
    ann = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10),
    ).eval()  # fmt: skip
    data = [(pictures().float() / 255, torch.zeros(2))]
    recipe = ann2snn.RateCodingRecipe(dataloader=data)
    net = ann2snn.FXConverter(recipe).convert(ann)

    def loop(x: Tensor) -> Any:
        return sum(net(x) for _ in range(T))

    def back(_: Any) -> None:
        functional.reset_net(net)

    return Case(loop, pictures(), {"reset": back, "timesteps": T}, 2)


def snntorch_case() -> Case:
    import snntorch

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f1, self.f2, self.f3 = nn.Linear(432, 30), nn.Linear(30, 20), nn.Linear(20, 5)
            self.l1 = snntorch.Leaky(beta=0.9, threshold=0.1)
            self.l2 = snntorch.Synaptic(alpha=0.8, beta=0.9, threshold=0.1)
            self.l3 = snntorch.RLeaky(beta=0.9, linear_features=5, threshold=0.1)

        def forward(self, x: Tensor) -> Any:
            m1 = self.l1.reset_mem()
            s2, m2 = self.l2.reset_mem()
            s3, m3 = self.l3.reset_mem()
            total = 0
            for _ in range(T):
                s, m1 = self.l1(self.f1(x.flatten(1)), m1)
                s, s2, m2 = self.l2(self.f2(s), s2, m2)
                s3, m3 = self.l3(self.f3(s), s3, m3)
                total = total + s3
            return total

    return Case(Net(), pictures(), {}, 3)


def norse_case() -> Case:
    import norse.torch as norse

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f1, self.out = nn.Linear(432, 30), norse.LILinearCell(20, 5)
            self.l1, self.l2 = norse.LIFCell(), norse.LIFRecurrentCell(30, 20)

        def forward(self, x: Tensor) -> Any:
            s1 = s2 = s3 = None
            y = None
            for _ in range(T):
                s, s1 = self.l1(40 * self.f1(x.flatten(1)), s1)
                s, s2 = self.l2(40 * s, s2)
                y, s3 = self.out(s, s3)
            return y

    return Case(Net(), pictures(), {}, 2)


class OneLine(nn.Module):
    """Several layers and their neurons on the same lines, in a loop over time; depthwise, 1-D."""

    def __init__(self, timesteps: int = T) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(3, 8, 7, stride=2, padding=3),
                nn.Conv1d(8, 8, 5, padding=2, groups=8),
                nn.Conv1d(8, 16, 1),
            ]
        )
        self.end = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Any:
        states: list[Any] = [0.0] * 3
        total = 0
        for _ in range(self.timesteps):
            y = x.flatten(2)
            for index, each in enumerate(self.layers):
                states[index] = states[index] / 2 + each(y)
                y = (states[index] > 0.05).float()
                states[index] = states[index] * (1 - y)
            total = total + self.end(y.mean(-1))
        return total


class MaskedWeights(nn.Module):
    """A recurrent layer whose weights are masked at each timestep, from a state of zeros."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.f, self.r, self.o = nn.Linear(27, 16), nn.Linear(16, 16, bias=False), nn.Linear(16, 4)
        self.norm = nn.LayerNorm(16)
        self.register_buffer("mask", (torch.rand(16, 16) > 0.5).float())

    def forward(self, x: Tensor) -> Any:
        spikes, v, total = torch.zeros(1, 16), torch.zeros(1, 16), 0
        for frame in x:
            masked = self.r.weight * self.mask
            v = 0.6 * v + self.norm(self.f(frame.flatten(1)[:, :27])) + F.linear(spikes, masked)
            spikes = (v > 0.4).float()
            v = v * (1 - spikes)
            total = total + self.o(spikes)
        return total


class Unfolded(nn.Module):
    """A convolution written as a product of patches, behind a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.t = nn.Conv2d(3, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.k = nn.Linear(36, 5)
        self.n = nn.ModuleList([lif(), lif(), lif()])

    def forward(self, x: Tensor) -> Any:
        total = 0
        for _ in range(T):
            y = self.n[1](self.t(self.n[0](self.c(x))))
            patches = F.unfold(y, 3, stride=3).transpose(1, 2)
            total = total + self.n[2](self.k(patches)).mean(1)
        return total


class Vectors(nn.Module):
    """One image without a batch axis, by products of a matrix and a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(24, 36))
        self.u = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Any:
        v, total = 0.0, 0
        for _ in range(T):
            v = 0.5 * v + self.w @ x.flatten()[:36]
            spikes = (v > 0.3).float()
            v = v - 0.3 * spikes
            total = total + self.u(spikes)
        return total


ZOO: dict[str, Callable[[], Case]] = {
    "plain": lambda: multi_step(Plain(), 3),
    "in_place": lambda: multi_step(Joined(lambda a, b: operator.iadd(b, a)), 3),
    "in_place_view": lambda: multi_step(Joined(added_through_a_view), 3),
    "in_place_old": lambda: multi_step(Joined(operator.iadd), 3),
    "cat": lambda: multi_step(Joined(lambda a, b: torch.cat([a, b], 2), 16), 3),
    "clamp": lambda: multi_step(Joined(lambda a, b: torch.clamp(a + b, 0, 1)), 3),
    "iand": lambda: multi_step(Joined(lambda a, b: a * (1 - b)), 3),
    "shared_convolution": lambda: multi_step(SharedConvolution(), 3),
    "shared_neuron": lambda: multi_step(SharedNeuron(), 3),
    "outputs": lambda: multi_step(Outputs(), 2),
    "windows": lambda: multi_step(windows(), 6),
    "pools": lambda: multi_step(pools(), 4),
    "ranks": lambda: multi_step(Ranks(), 2),
    "attention_scores": lambda: multi_step(Attention("scores"), 4),
    "attention_linear": lambda: multi_step(Attention("linear"), 4),
    "attention_einsum": lambda: multi_step(Attention("einsum"), 4),
    "attention_sdpa": lambda: multi_step(Attention("sdpa"), 4),
    "multihead": lambda: multi_step(Multihead(), 2),
    "buffered": lambda: Case(Buffered(), pictures(), {}, 2),
    "data_parallel": lambda: multi_step(nn.DataParallel(Plain()), 3),
    "softmax": lambda: multi_step(Softmax(), 2),
    "halting": lambda: Case(Halting(), pictures(), {}, 3),
    "plain_torch": lambda: Case(PlainTorch(), pictures(), {}, 2),
    "single_step": lambda: Case(SingleStep(), pictures(), {}, 3),
    "many_neurons": lambda: multi_step(many_neurons(), 6),
    "psn": lambda: multi_step(Parallel(causal=False), 2),
    "sliding_psn": lambda: multi_step(Parallel(causal=True), 2),
    "recurrent": lambda: Case(Recurrent(), pictures(2, (T, *SHAPE)), {"time_axis": 0}, 1),
    "one_line": lambda: Case(OneLine(), pictures(), {}, 3),
    "masked_weights": lambda: Case(MaskedWeights(), pictures(2, (T, *SHAPE)), {"time_axis": 0}, 1),
    "unfolded": lambda: Case(Unfolded(), pictures(), {}, 3),
    "vectors": lambda: Case(Vectors(), pictures(), {}, 1),
    "voting": lambda: multi_step(Voting(), 2),
    "poisson": lambda: Case(Poisson(), pictures(), {}, 1),
    "two_inputs": lambda: Case(Mixed(), (pictures().float() / 255, torch.rand(2, 5)), {}, 2),
    "bfloat16": lambda: multi_step(BFloat(), 3),
    "double": lambda: multi_step(Plain().double(), 3),
    "sew_add": lambda: multi_step(sew(), 20),
    "sew_and": lambda: multi_step(sew("AND"), 20),
    "converted": converted,
    "snntorch": snntorch_case,
    "norse": norse_case,
}


def case(name: str) -> Case:
    """Make a case with fixed weights."""
    torch.manual_seed(0)
    return ZOO[name]()
