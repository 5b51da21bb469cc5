"""SpikingJelly's three attention modules, each listed as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikingjelly.activation_based.layer import attention
from torch import Tensor

from models.foreign.ledger import Ledger, Value, rows_of

Inner = Mapping[str, Tensor]
AttentionHandler = Callable[[Ledger, str, Any, Value, Inner], Value | None]


def self_attention(ledger: Ledger, name: str, module: Any, x: Value, inner: Inner) -> Value | None:
    """Spikformer's: scores, context, neurons, projection."""
    shapes = _begin(ledger, module, x)
    q, k, v = _fused(ledger, name, module, x, (inner["qkv_lif"], "qkv", module.qkv_lif))
    scores, context = f"{name}.scores", f"{name}.context"
    ledger.run(scores, "attention_scores", (q.name, k.name), ledger.timesteps, shapes)
    ledger.run(
        context,
        "attention_context",
        (scores, v.name),
        ledger.timesteps,
        shapes,
        parameters={"scale": module.scale},
    )
    mixed = rows_of(inner["attn_lif"].flatten(2, 3))
    fired = ledger.fire(f"{name}.attn_lif", context, mixed, x.grid, module.attn_lif)
    return _projected(ledger, name, module, fired, inner)


def token_attention(ledger: Ledger, name: str, module: Any, x: Value, inner: Inner) -> Value | None:
    """QKFormer's: a gate on tokens from q, on k."""
    if module.qka_type != "token":
        ledger.refuse(f"{name}: QKAttention of type {module.qka_type}")
        return None
    shapes = _begin(ledger, module, x)
    q, k = _fused(ledger, name, module, x, (inner["qk_lif"], "qk", module.qk_lif))
    ledger.run(f"{name}.tokens", "token_qk_attention", (q.name,), ledger.timesteps, shapes)
    opened = rows_of(inner["attn_lif"].flatten(2, 3))
    gate = ledger.fire(f"{name}.attn_lif", f"{name}.tokens", opened, x.grid, module.attn_lif)
    data = ledger.data[k.name] * opened.repeat_interleave(module.head_dim, 3)
    out = _gated(ledger, name, k, gate, data)
    return _projected(ledger, name, module, out, inner)


def spike_driven(ledger: Ledger, name: str, module: Any, x: Value, inner: Inner) -> Value | None:
    """The Spike-Driven Transformer's: a gate on channels from k and v, on q; potentials added."""
    shapes = _begin(ledger, module, x)
    entering = ledger.fire(
        f"{name}.shortcut_lif", x.name, rows_of(inner["shortcut_lif"]), x.grid, module.shortcut_lif
    )
    q, k, v = (
        _one(ledger, name, entering, part, rows_of(inner[f"{part}_lif"]), module) for part in "qkv"
    )
    sums = f"{name}.columns"
    ledger.run(sums, "spike_driven_attention", (k.name, v.name), ledger.timesteps, shapes)
    opened = inner["attn_lif"].flatten(2).unsqueeze(2)  # (timestep, image, 1, channel)
    gate = ledger.fire(f"{name}.attn_lif", sums, opened, (1, 1), module.attn_lif)
    out = _gated(ledger, name, q, gate, ledger.data[q.name] * opened)
    current = ledger.linear(f"{name}.proj_conv", out, module.dim)
    ledger.run(
        f"{name}.residual",
        "residual",
        (current.name, x.name),
        ledger.timesteps,
        {"rows": x.rows, "channels": x.channels},
    )
    return Value(f"{name}.residual", ledger.timesteps, x.grid, module.dim)


def _begin(ledger: Ledger, module: Any, x: Value) -> dict[str, int]:
    """Open a block; the shapes of its attention."""
    ledger.begin_block(x.grid, module.dim, module.num_heads)
    return {"heads": module.num_heads, "head_dim": module.head_dim, "tokens": x.rows}


def _fused(
    ledger: Ledger, name: str, module: Any, x: Value, fused: tuple[Tensor, str, Any]
) -> list[Value]:
    """Layers that one convolution computes, taken apart."""
    spikes, letters, node = fused
    parts = rows_of(spikes).chunk(len(letters), 3)
    values = []
    for letter, rows in zip(letters, parts, strict=True):
        current = ledger.linear(f"{name}.{letter}_linear", x, module.dim)
        values.append(ledger.fire(f"{name}.{letter}", current.name, rows, x.grid, node))
    return values


def _one(ledger: Ledger, name: str, x: Value, part: str, rows: Tensor, module: Any) -> Value:
    current = ledger.linear(f"{name}.{part}_conv", x, module.dim)
    node = getattr(module, f"{part}_lif")
    return ledger.fire(f"{name}.{part}", current.name, rows, x.grid, node)


def _gated(ledger: Ledger, name: str, spikes: Value, gate: Value, data: Tensor) -> Value:
    """`spikes` where the gate is open; `data`: the result (timestep, image, row, channel)."""
    shapes = {"rows": spikes.rows, "channels": spikes.channels}
    shapes |= {"gate_rows": gate.rows, "gate_channels": gate.channels}
    out = Value(f"{name}.out", spikes.steps, spikes.grid, spikes.channels, 1)
    ledger.stored(out, data)
    inputs = (spikes.name, gate.name)
    ledger.run(f"{name}.gated", "spike_gate", inputs, ledger.timesteps, shapes, output=out.name)
    return out


def _projected(ledger: Ledger, name: str, module: Any, out: Value, inner: Inner) -> Value:
    """Projection and its neurons."""
    current = ledger.linear(f"{name}.proj", out, module.dim)
    rows = rows_of(inner["proj_lif"])
    return ledger.fire(f"{name}.proj_lif", current.name, rows, out.grid, module.proj_lif)


ATTENTIONS: tuple[tuple[type, AttentionHandler], ...] = (
    (attention.SpikingSelfAttention, self_attention),
    (attention.QKAttention, token_attention),
    (attention.SpikeDrivenSelfAttention, spike_driven),
)
