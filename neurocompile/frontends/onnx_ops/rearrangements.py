"""Operators that move values, and change none: in spikes, wires.

Which value comes to which place is found by running the operator on the places' numbers, in onnx's reference
implementation and for several sizes of batch: so an operator that mixes images is refused, whatever it is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from onnx import TensorProto

from neurocompile.frontends.onnx_constants import MOST_MOVED, Constant
from neurocompile.frontends.onnx_node import OnnxNode
from neurocompile.frontends.onnx_ops.operator import Operator
from neurocompile.ir import Array
from neurocompile.ir.layers import Add, Affine, Concat, Identity, Rearrange

_PAD_MODES: Mapping[str, Callable[[Array, list[tuple[int, int]]], Array]] = {
    "constant": partial(np.pad, constant_values=-1),
    "edge": partial(np.pad, mode="edge"),
    "reflect": partial(np.pad, mode="reflect"),
    "wrap": partial(np.pad, mode="wrap"),
}

_REALS = {TensorProto.FLOAT16: np.float16, TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}
"""What a cast leaves as reals."""


def move(node: OnnxNode) -> Sequence[str]:
    """Convert what leaves every image in its place, with constant parameters."""
    return [node.place(index, node.source()) for index in _moved(node)]


def _moved(node: OnnxNode) -> list[Array]:
    """Find, for each output, which value of the image comes to which place; -1 where none does."""
    shape = node.shape()
    size = math.prod(shape)
    if size * max(node.batches) > MOST_MOVED:
        raise node.error(f"moves more than {MOST_MOVED:,} values", "use smaller images")
    found: list[list[Array]] = []
    for i, batch in enumerate(node.batches):
        inputs = {node.proto.input[0]: np.arange(1.0, batch * size + 1).reshape(batch, *shape)}
        for k, name in enumerate(node.proto.input[1:], 1):
            if name:
                inputs[name] = _parameter(node, k).at(i)
        results = node.folder.evaluate(node.proto, inputs)
        found.append([_of_one_image(node, result, batch, size) for result in results])
    first, *others = found
    for other in others:
        if any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True)):
            raise _mixes(node)
    return first


def _parameter(node: OnnxNode, i: int) -> Constant:
    value = node.inputs[i]
    if not isinstance(value, Constant):
        raise node.error(f"input {i} is computed while the network runs", "export it as a constant")
    return value


def _of_one_image(node: OnnxNode, result: Array, batch: int, size: int) -> Array:
    if result.ndim == 0 or len(result) != batch:
        raise _mixes(node)
    index: Array = np.rint(result[0]).astype(np.int64) - 1
    if index.size == 0:
        raise node.error("leaves nothing of an image", "check its parameters")
    firsts = size * np.arange(batch).reshape(-1, *[1] * index.ndim)
    if not np.array_equal(np.where(index >= 0, index + 1 + firsts, 0), result):
        raise _mixes(node)
    return index


def _mixes(node: OnnxNode) -> Exception:
    return node.error(
        "moves values between the images of the batch, or changes their number",
        "leave the first axis as it is, and let every image stand for itself",
    )


def pad(node: OnnxNode) -> str:
    """Convert constant, reflected, repeated and wrapped edges; negative numbers crop."""
    shape = node.shape()
    mode = node.text("mode", "constant")
    value = float(node.attributes["value"]) if "value" in node.attributes else node.scalar(2) or 0.0
    before, after = _pads(node, len(shape))
    grown = [max(b, 0) + n + max(a, 0) for b, n, a in zip(before, shape, after, strict=True)]
    if mode not in _PAD_MODES or not np.isfinite(value) or math.prod(grown) > MOST_MOVED:
        raise node.error(f"pads to {grown} by mode {mode} with {value}", "pad by less, with a finite number")
    if mode != "constant" and min(*before, *after) < 0:
        raise node.error(f"crops and pads by mode {mode} at once", "crop in a Slice of its own")
    if mode == "reflect" and any(
        max(pads) >= n for pads, n in zip(zip(before, after, strict=True), shape, strict=True) if any(pads)
    ):
        raise node.error(f"reflects {list(shape)} farther than its edges", "pad by less than the size")
    index = np.arange(math.prod(shape)).reshape(shape)
    around = [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)]
    padded = _PAD_MODES[mode](index, around)
    kept = [slice(max(-b, 0), n - max(-a, 0)) for b, n, a in zip(before, padded.shape, after, strict=True)]
    index = padded[tuple(kept)]
    if index.size == 0:
        raise node.error("leaves nothing of an image", "crop by less")
    result = node.place(index, node.source())
    if not value or not np.any(index < 0):
        return result
    return node.add(Affine(np.ones(1), np.where(index < 0, value, 0.0)), result)


def _pads(node: OnnxNode, axes: int) -> tuple[list[int], list[int]]:
    """Give what comes before and after each axis of the image."""
    given = node.integers_or_input("pads", 1) or ()
    chosen = node.optional(3)
    places = range(axes + 1) if chosen is None else [int(axis) for axis in chosen.reshape(-1)]
    if len(given) != 2 * len(places):
        raise node.error(f"has {len(given)} pads for {len(places)} axes", "give two for each axis")
    around = [[0] * axes, [0] * axes]
    for side, numbers in enumerate((given[: len(places)], given[len(places) :])):
        for axis, number in zip(places, numbers, strict=True):
            if number:
                around[side][node.image_axis(axis, axes + 1)] = number
    return around[0], around[1]


def concat(node: OnnxNode) -> str:
    """Convert any axis but the batch; constants among the branches too."""
    shapes = [node.shape(i) for i in range(len(node.inputs)) if node.is_computed(i)]
    axis = node.image_axis(node.integer("axis", 1), len(shapes[0]) + 1)
    branches = [node.source(i) if node.is_computed(i) else _constant(node, i) for i in range(len(node.inputs))]
    return node.add(Concat(axis), *branches)


def _constant(node: OnnxNode, i: int) -> str:
    """Make a layer that gives a constant for each image."""
    values = [_parameter(node, i).at(k).astype(np.float64) for k, _ in enumerate(node.batches)]
    first = values[0][0] if values[0].size and values[0].ndim else np.zeros(0)
    for value, batch in zip(values, node.batches, strict=True):
        if value.ndim < 2 or len(value) != batch or not first.size or np.any(value != first):
            raise node.error(f"input {i} differs from image to image", "use one constant for all images")
    if not np.isfinite(first).all():
        raise node.error(f"input {i} holds NaN or infinite values", "check the model")
    source = next(node.source(k) for k in range(len(node.inputs)) if node.is_computed(k))
    silence = node.add(Rearrange(np.full(first.shape, -1, np.int32)), source)
    return node.add(Affine(np.ones(1), first), silence) if np.any(first) else silence


def resize(node: OnnxNode) -> str:
    """Convert nearest neighbours and linear interpolation without antialias, in any way but tf_crop_and_resize."""
    mode = node.text("mode", "nearest")
    target = [(axis, size, scale) for axis, size, scale in _target(node) if scale != 1]
    if target and (mode not in ("nearest", "linear") or (mode == "linear" and node.integer("antialias", 0))):
        raise node.error(f"resizes by mode {mode}", "resize by nearest neighbours, or linearly without antialias")
    layer = node.source()
    for axis, size, scale in target:
        shape = node.shape_of(layer)
        if size < 1 or size * (math.prod(shape) // shape[axis]) > MOST_MOVED:
            raise node.error(f"resizes {list(shape)} to a size of {size}", "check the scales")
        places = _places(node, shape[axis], size, scale)
        layer = (_interpolated if mode == "linear" else _nearest)(node, layer, axis, places)
    return layer if target else node.add(Identity())


def _target(node: OnnxNode) -> list[tuple[int, int, float]]:
    """List each axis of the image that is resized, with its new size and the factor."""
    shape = (node.batches[0], *node.shape())
    at = 1 if _is_old(node) else 2
    given = node.attributes.get("scales")
    scales = None
    if given is not None:
        scales = [float(scale) for scale in given]
    elif at < len(node.inputs) and node.inputs[at] is not None:
        scales = [float(scale) for scale in node.reals(at).reshape(-1)]
    chosen = [axis % len(shape) for axis in node.integers("axes", range(len(shape)))]
    if scales:
        sizes = [math.floor(shape[axis] * scale) for axis, scale in zip(chosen, scales, strict=False)]
    else:
        sizes = _sizes(node)
        scales = [size / shape[axis] for axis, size in zip(chosen, sizes, strict=False)]
        policy = node.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scale = min(scales) if policy == "not_larger" else max(scales)
            scales = [scale] * len(scales)
            sizes = [math.floor(scale * shape[axis] + 0.5) for axis in chosen]
    if len(scales) != len(chosen) or not all(0 < scale < 1e6 for scale in scales):
        raise node.error(f"has the scales {scales} for {len(chosen)} axes", "give a positive one for each axis")
    found = list(zip(chosen, sizes, scales, strict=True))
    if any(axis == 0 and (size != shape[0] or scale != 1) for axis, size, scale in found):
        raise node.error("resizes the batch", "give the batch the scale 1")
    return [(axis - 1, size, scale) for axis, size, scale in found if axis]


def _sizes(node: OnnxNode) -> list[int]:
    if len(node.inputs) < 4 or node.inputs[3] is None:
        raise node.error("has neither scales nor sizes", "give constant scales")
    return [int(size) for size in _parameter(node, 3).at(0).reshape(-1)]


_WHOLE = 1e-3
"""How far a size may be from a whole number: factors are rounded to float32."""


def _places(node: OnnxNode, size: int, resized: int, scale: float) -> Array:
    """Give where each place of the resized axis lies on the original one, in float32, as runtimes compute it."""
    at, factor, half = np.arange(resized, dtype=np.float32), np.float32(scale), np.float32(0.5)
    ways = {
        "asymmetric": lambda: at / factor,
        "half_pixel": lambda: (at + half) / factor - half,
        "pytorch_half_pixel": lambda: ((at + half) / factor - half) * (resized > 1),
        "tf_half_pixel_for_nn": lambda: (at + half) / factor,
        "align_corners": lambda: at * np.float32((size - 1) / max(1, resized - 1)),
        "half_pixel_symmetric": lambda: (
            np.float32(size / 2 * (1 - resized / (size * scale))) + (at + half) / factor - half
        ),
    }
    way = "asymmetric" if _is_old(node) else node.text("coordinate_transformation_mode", "half_pixel")
    if way not in ways:
        raise node.error(f"counts pixels by {way}", "use asymmetric or half_pixel")
    if way == "align_corners" and abs(size * scale - resized) > _WHOLE:
        # The standard takes the corner of a size that is no whole number, ONNX Runtime that of the size rounded.
        problem = f"aligns corners of a size of {size * scale:g}, which runtimes do differently"
        raise node.error(problem, "resize to a whole size")
    places: Array = ways[way]()
    return places


def _is_old(node: OnnxNode) -> bool:
    return node.op == "Upsample" or node.opset < 11


def _nearest(node: OnnxNode, source: str, axis: int, places: Array) -> str:
    rounding = "floor" if _is_old(node) else node.text("nearest_mode", "round_prefer_floor")
    half = np.float32(0.5)
    rounded: Mapping[str, Callable[[], Array]] = {
        "floor": lambda: np.floor(places),
        "ceil": lambda: np.ceil(places),
        "round_prefer_floor": lambda: np.ceil(places - half),
        "round_prefer_ceil": lambda: np.floor(places + half),
    }
    if rounding not in rounded:
        raise node.error(f"rounds pixels by {rounding}", "use floor or round_prefer_floor")
    return _taken(node, source, axis, rounded[rounding]())


def _interpolated(node: OnnxNode, source: str, axis: int, places: Array) -> str:
    """Give the mean of both neighbours, weighted by how near they are."""
    shape = node.shape_of(source)
    places = np.clip(places, 0, shape[axis] - 1)
    low = np.floor(places)
    share = (places - low).astype(np.float64).reshape(-1, *[1] * (len(shape) - axis - 1))
    parts = [
        node.add(Affine(gain, np.zeros(1)), _taken(node, source, axis, neighbours))
        for neighbours, gain in ((low, 1 - share), (low + 1, share))
    ]
    return node.add(Add(), *parts)


def _taken(node: OnnxNode, source: str, axis: int, places: Array) -> str:
    """Take values of an axis, the outermost ones where places lie beyond."""
    shape = node.shape_of(source)
    inside = np.clip(places, 0, shape[axis] - 1).astype(np.int64)
    return node.place(np.take(np.arange(math.prod(shape)).reshape(shape), inside, axis), source)


def identity(node: OnnxNode) -> str:
    """Convert any values."""
    return node.add(Identity())


def dropout(node: OnnxNode) -> str:
    """Convert any ratio; training mode is refused."""
    training = node.optional(2)
    if training is not None and training.any():
        raise node.error("is in training mode", "export the model after model.eval()")
    return node.add(Identity())


def cast(node: OnnxNode) -> str:
    """Convert casts to float types; the rounding of float16 is left out."""
    if node.integer("to", 0) not in _REALS:
        raise node.error("casts to another type than float", "keep the network in float32")
    return node.add(Identity())


def cast_like(node: OnnxNode) -> str:
    """Convert casts to the type of float values."""
    real = node.value(1).real if node.is_computed(1) else node.constant(1).dtype in _REALS.values()
    if not real:
        raise node.error("casts to another type than float", "keep the network in float32")
    return node.add(Identity())


OPERATORS = {
    "Cast": Operator(cast, "wires"),
    "CastLike": Operator(cast_like, "wires"),
    "Concat": Operator(concat, "wires"),
    "Dropout": Operator(dropout, "wires"),
    "Identity": Operator(identity, "wires"),
    "Pad": Operator(pad, "wires"),
    "Resize": Operator(resize, "synapses"),
    "Upsample": Operator(resize, "synapses"),
    **{
        name: Operator(move, "wires")
        for name in (
            "CenterCropPad",
            "DepthToSpace",
            "Expand",
            "Flatten",
            "Gather",
            "Reshape",
            "Slice",
            "SpaceToDepth",
            "Split",
            "Squeeze",
            "Tile",
            "Transpose",
            "Unsqueeze",
        )
    },
}
