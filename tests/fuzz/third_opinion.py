"""A model in double precision, in onnx's reference implementation: who is right where two results differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[Any]

_SINGLE = (TensorProto.FLOAT, TensorProto.FLOAT16)


def evaluate(model: onnx.ModelProto, name: str, images: Array) -> Array:
    """Compute the first output of a model from one input.

    Parameters
    ----------
    model
        It is changed.
    name
        Of the input.
    images
        What goes in there, in any type of reals.
    """
    for message in _messages(model):
        if isinstance(message, TensorProto) and message.data_type in _SINGLE:
            # What is in other files was not there to be changed.
            message.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(message).astype(np.float64), message.name)
            )
        elif isinstance(message, onnx.TypeProto.Tensor) and message.elem_type in _SINGLE:
            message.elem_type = TensorProto.DOUBLE
        elif isinstance(message, onnx.NodeProto):
            _in_double_precision(message)
    evaluator = ReferenceEvaluator(model)
    with np.errstate(all="ignore"):
        result, *_ = evaluator.run(None, {name: images if images.dtype == np.uint8 else images.astype(np.float64)})
    return np.asarray(result)


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from _messages(part)


def _in_double_precision(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _SINGLE:
            attribute.i = TensorProto.DOUBLE
        elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
            value = np.array(helper.get_attribute_value(attribute), np.float64)
            attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))
