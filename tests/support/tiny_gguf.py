"""A tiny GGUF file with drawn weights, written by its published layout (ggml's docs/gguf.md)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 32
WIDTH, HEADS, KV_HEADS, CHANNELS = 64, 8, 4, 160
UINT32, INT32, FLOAT32, STRING, ARRAY = 4, 5, 6, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
TYPES = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256]


def write_tiny_gguf(path: Path, layers: int) -> None:
    """Write a Llama of some layers whose tokens are bytes."""
    tensors = _tensors(layers)
    keys = _keys(layers)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(_text(name) + _value(kind, value) for name, (kind, value) in keys.items())
    offset = 0
    for name, tensor in tensors.items():
        shape = tuple(reversed(tensor.shape))
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        offset += _padded(tensor.nbytes)
    data = b"".join(t.tobytes() + bytes(_padded(t.nbytes) - t.nbytes) for t in tensors.values())
    path.write_bytes(head + bytes(_padded(len(head)) - len(head)) + data)


def _keys(layers: int) -> dict[str, tuple[int, Any]]:
    return {
        "general.architecture": (STRING, "llama"),
        "general.name": (STRING, "tiny"),
        "llama.block_count": (UINT32, layers),
        "llama.context_length": (UINT32, 256),
        "llama.embedding_length": (UINT32, WIDTH),
        "llama.feed_forward_length": (UINT32, CHANNELS),
        "llama.attention.head_count": (UINT32, HEADS),
        "llama.attention.head_count_kv": (UINT32, KV_HEADS),
        "llama.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-5),
        "llama.rope.dimension_count": (UINT32, WIDTH // HEADS),
        "tokenizer.ggml.model": (STRING, "llama"),
        "tokenizer.ggml.tokens": (ARRAY, (STRING, TOKENS)),
        "tokenizer.ggml.scores": (ARRAY, (FLOAT32, [0.0] * len(TOKENS))),
        "tokenizer.ggml.token_type": (ARRAY, (INT32, TYPES)),
        "tokenizer.ggml.unknown_token_id": (UINT32, 0),
        "tokenizer.ggml.bos_token_id": (UINT32, 1),
        "tokenizer.ggml.eos_token_id": (UINT32, 2),
    }


def _tensors(layers: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    dice = np.random.default_rng(7)

    def drawn(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return (dice.standard_normal(shape) * 0.05).astype(np.float32)

    ones = np.ones(WIDTH, dtype=np.float32)
    keys = WIDTH // HEADS * KV_HEADS
    found = {"token_embd.weight": drawn(len(TOKENS), WIDTH)}
    for layer in range(layers):
        block = {
            "attn_norm": ones,
            "attn_q": drawn(WIDTH, WIDTH),
            "attn_k": drawn(keys, WIDTH),
            "attn_v": drawn(keys, WIDTH),
            "attn_output": drawn(WIDTH, WIDTH),
            "ffn_norm": ones,
            "ffn_gate": drawn(CHANNELS, WIDTH),
            "ffn_up": drawn(CHANNELS, WIDTH),
            "ffn_down": drawn(WIDTH, CHANNELS),
        }
        found |= {f"blk.{layer}.{name}.weight": one for name, one in block.items()}
    return found | {"output_norm.weight": ones, "output.weight": drawn(len(TOKENS), WIDTH)}


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(kind: int, value: Any) -> bytes:
    if kind == ARRAY:
        inner, entries = value
        body = b"".join(_plain(inner, entry) for entry in entries)
        return struct.pack("<IIQ", kind, inner, len(entries)) + body
    return struct.pack("<I", kind) + _plain(kind, value)


def _plain(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _text(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f"}[kind], value)


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
