"""Operators that are not converted by decision: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_QUANTIZED = (
    "computes on quantised integers",
    "export the network in float32: neurocompile quantises it itself, with --precision int8",
)
_RECURRENT = (
    "carries a state from one time step of the data to the next",
    "use a network without recurrence, such as 1-D convolutions over time",
)
_CONTROL_FLOW = (
    "decides while the network runs which nodes are computed",
    "export the model for one path, with torch.onnx.export of an eval() module and fixed flags",
)
_STATISTICS = (
    "divides by statistics of each image, which spikes can't do exactly",
    "train with BatchNorm, whose statistics are frozen",
)
_RANDOM = ("draws random numbers", "export the model after model.eval(), without this node")
_STRINGS = ("works on strings", "give the network numbers, and prepare them outside")
_SEQUENCES = ("works on sequences instead of tensors", "export the model without it: one tensor in, one out")
_LABELS = ("looks up labels", "let the model give the class scores beside them")
_TWO_COMPUTED = (
    "combines computed values in a way that spikes can't",
    "use layers with trained weights: convolutions or Linear",
)
_COMPARISON = ("compares the network's values", "keep decisions outside of the network")

REFUSALS: Mapping[str, tuple[str, str]] = {
    "LRN": (
        "divides each value by a power of its neighbours' squares, which spikes can't do exactly",
        "train the network without it, or with BatchNorm",
    ),
    "Hardmax": (
        "gives 1 for the largest value and 0 for the others",
        "end the network at the scores that go into it",
    ),
    "ThresholdedRelu": ("jumps at its threshold", "use Relu"),
    **dict.fromkeys(
        ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"], _QUANTIZED
    ),
    **dict.fromkeys(["ConvInteger", "MatMulInteger"], _QUANTIZED),
    **dict.fromkeys(["GRU", "LSTM", "RNN", "CausalConvWithState"], _RECURRENT),
    **dict.fromkeys(["If", "Loop", "Scan", "SequenceMap"], _CONTROL_FLOW),
    **dict.fromkeys(
        [
            "GroupNormalization",
            "InstanceNormalization",
            "LayerNormalization",
            "LpNormalization",
            "MeanVarianceNormalization",
            "RMSNormalization",
            "LpPool",
            "GlobalLpPool",
            "ReduceL2",
        ],
        _STATISTICS,
    ),
    **dict.fromkeys(
        ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"],
        _RANDOM,
    ),
    **dict.fromkeys(
        ["RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"], _STRINGS
    ),
    **dict.fromkeys(
        [
            "ConcatFromSequence",
            "Optional",
            "OptionalGetElement",
            "OptionalHasElement",
            "SequenceAt",
            "SequenceConstruct",
            "SequenceEmpty",
            "SequenceErase",
            "SequenceInsert",
            "SequenceLength",
            "SplitToSequence",
        ],
        _SEQUENCES,
    ),
    **dict.fromkeys(["ai.onnx.ml.ArrayFeatureExtractor", "ai.onnx.ml.ZipMap"], _LABELS),
    **dict.fromkeys(["Attention", "LinearAttention", "Einsum", "RotaryEmbedding", "SwiGLU"], _TWO_COMPUTED),
    **dict.fromkeys(["And", "Equal", "NonZero", "Not", "Or", "TopK", "Xor"], _COMPARISON),
}
"""For each operator the problem and the remedy; any other that is not in the table of operators is refused too."""
