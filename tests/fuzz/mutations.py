"""Changes to a model: of its bytes, of single fields, and of the graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto, helper, numpy_helper
from seeds import SINGLE

Array = npt.NDArray[Any]

INTEGERS = (0, 1, -1, 2, 3, 4, 7, 13, 64, 1000, 10**6, 10**12, 2**31 - 1, 2**31, 2**63 - 1, -(2**63))
REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 1e30, 3.4e38, math.inf, -math.inf, math.nan)
TEXTS = ("", "x", "y", "\0", "é", "a" * 5000, "../x", "ai.onnx", "ai.onnx.ml", "com.microsoft", "[red]", "{}")
CHOICES = (
    *("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "constant", "edge", "reflect", "wrap", "none", "tanh"),
    *(
        "nearest",
        "linear",
        "cubic",
        "floor",
        "ceil",
        "round_prefer_ceil",
        "asymmetric",
        "half_pixel",
        "DCR",
        "CRD",
    ),
    *("align_corners", "pytorch_half_pixel", "half_pixel_symmetric", "not_larger", "not_smaller"),
)
OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})


def mutate(random: Random, content: bytes) -> bytes:
    """Change a serialised model a few times, on one level or on several."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        content = random.choice(LEVELS)(random, content)
    return content


def change_bytes(random: Random, content: bytes) -> bytes:
    """Flip, overwrite, cut out, insert, repeat or cut off bytes."""
    changed = bytearray(content)
    at = random.randrange(len(changed) + 1)
    size = random.choice((1, 1, 2, 4, 8, 100))
    match random.choice(("flip", "overwrite", "cut out", "insert", "repeat", "cut off")):
        case "flip" if at < len(changed):
            changed[at] ^= 1 << random.randrange(8)
        case "overwrite":
            changed[at : at + size] = bytes([random.choice((0, 0x7F, 0x80, 0xFF))]) * size
        case "cut out":
            del changed[at : at + size]
        case "insert":
            changed[at:at] = random.randbytes(size)
        case "repeat":
            changed[at:at] = changed[at : at + size]
        case "cut off":
            del changed[at:]
    return bytes(changed)


def change_fields(random: Random, content: bytes) -> bytes:
    """Set, clear, repeat or drop one field of one message, whatever it means."""
    return _changed(content, lambda model: _change_field(random, random.choice(list(_messages(model)))))


def change_graph(random: Random, content: bytes) -> bytes:
    """Change the graph in a way that may leave it valid."""
    return _changed(content, lambda model: random.choice(GRAPH_CHANGES)(random, model.graph))


LEVELS = [change_bytes, *(change_fields,) * 2, *(change_graph,) * 9]


def _changed(content: bytes, change: Callable[[onnx.ModelProto], None]) -> bytes:
    try:
        model = onnx.ModelProto.FromString(content)
        change(model)
        return model.SerializeToString()
    # What is no model, or has not what would be changed, stays as it is.
    except (DecodeError, LookupError, ValueError, TypeError, onnx.defs.SchemaError, onnx.checker.ValidationError):
        return content


# ---------------------------------------------------------------- fields


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from _messages(part)


def _change_field(random: Random, message: Message) -> None:
    field = random.choice(message.DESCRIPTOR.fields)
    values = getattr(message, field.name)
    if not hasattr(values, "append"):
        if field.message_type is not None or random.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _value(random, field, values))
        return
    match random.choice(("add", "set", "drop", "repeat", "swap")):
        case "add" if field.message_type is not None:
            values.add()
        case "add":
            values.append(_value(random, field, 0))
        case "set" if field.message_type is None:
            at = random.randrange(len(values))
            values[at] = _value(random, field, values[at])
        case "drop":
            del values[random.randrange(len(values))]
        case "repeat":
            values.extend([random.choice(values)])
        case _:
            kept = list(values)
            random.shuffle(kept)
            del values[:]
            values.extend(kept)


def _value(random: Random, field: FieldDescriptor, old: Any) -> Any:
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random.choice(REALS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return change_bytes(random, old) if old else random.randbytes(4)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return random.choice((*TEXTS, *CHOICES, random.choice(OPERATORS)))
    return random.choice((*INTEGERS, old + 1, old - 1, old * 2))


# ---------------------------------------------------------------- graphs


def rewire(random: Random, graph: onnx.GraphProto) -> None:
    """Let a node read another value, now and then one that comes later."""
    at = random.randrange(len(graph.node))
    names = _names(graph) if random.random() < 0.1 else _names(graph, before=at)
    node = graph.node[at]
    node.input[random.randrange(len(node.input))] = random.choice(names)


def drop_input(random: Random, graph: onnx.GraphProto) -> None:
    node = random.choice(graph.node)
    if random.random() < 0.5:
        del node.input[-1]
    else:
        node.input[random.randrange(len(node.input))] = ""


def bypass(random: Random, graph: onnx.GraphProto) -> None:
    """Remove a node, and let its readers read what it read."""
    at = random.randrange(len(graph.node))
    node = graph.node[at]
    for other in graph.node:
        for i, name in enumerate(other.input):
            if name == node.output[0]:
                other.input[i] = node.input[0]
    if node.output[0] == graph.output[0].name:
        graph.output[0].name = node.input[0]
    del graph.node[at]


def remove(random: Random, graph: onnx.GraphProto) -> None:
    del graph.node[random.randrange(len(graph.node))]


def duplicate(random: Random, graph: onnx.GraphProto) -> None:
    """Repeat a node with other outputs, and let some reader read these."""
    at = random.randrange(len(graph.node))
    copy = onnx.NodeProto()
    copy.CopyFrom(graph.node[at])
    for i, name in enumerate(copy.output):
        copy.output[i] = f"{name}_again"
    readers = [n for n in graph.node if copy.output and graph.node[at].output[0] in n.input]
    if readers:
        reader = random.choice(readers)
        reader.input[list(reader.input).index(graph.node[at].output[0])] = copy.output[0]
    _insert(graph, at, copy)


def insert(random: Random, graph: onnx.GraphProto) -> None:
    """Put another operator behind a value."""
    at = random.randrange(len(graph.node))
    node = graph.node[at]
    i = random.randrange(len(node.input))
    op = random.choice(
        ("Relu", "Neg", "Tanh", "Flatten", "Transpose", "Identity", "Softmax", "Shape", "Cast", "Abs")
    )
    new = helper.make_node(
        op, [node.input[i]], [f"{op}_of_{node.input[i]}"], **({"to": 1} if op == "Cast" else {})
    )
    node.input[i] = new.output[0]
    _insert(graph, at, new)


def append(random: Random, graph: onnx.GraphProto) -> None:
    """Put an operator with all of its parameters at the end, behind some value."""
    op, constants, attributes, _, _ = random.choice(SINGLE)
    prefix = f"of_{len(graph.node)}_"
    source = graph.output[0].name if random.random() < 0.8 else random.choice(_names(graph))
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(c), prefix + name) for name, c in constants.items()
    )
    inputs = [source, *(prefix + name for name in constants)]
    graph.node.append(helper.make_node(op, inputs, [f"{prefix}{op}"], **attributes))
    graph.output[0].name = f"{prefix}{op}"


def combine(random: Random, graph: onnx.GraphProto) -> None:
    """Let an operator of two operands read two values, at the end."""
    op = random.choice(("Add", "Sub", "Mul", "Div", "Max", "Min", "Concat", "MatMul", "Pow", "Where", "Less"))
    names = [random.choice(_names(graph)) for _ in range(3 if op == "Where" else 2)]
    if random.random() < 0.7:
        names[0] = graph.output[0].name
    attributes = {"axis": random.choice((0, 1, 2, -1))} if op == "Concat" else {}
    graph.node.append(helper.make_node(op, names, ["combined"], **attributes))
    graph.output[0].name = "combined"


def shuffle(random: Random, graph: onnx.GraphProto) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    random.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


def change_operator(random: Random, graph: onnx.GraphProto) -> None:
    random.choice(graph.node).op_type = random.choice(OPERATORS)


def change_output(random: Random, graph: onnx.GraphProto) -> None:
    if random.random() < 0.5:
        graph.output[0].name = random.choice(_names(graph))
    else:
        graph.output.add(name=random.choice(_names(graph))).type.CopyFrom(graph.output[0].type)


def set_attribute(random: Random, graph: onnx.GraphProto) -> None:
    """Give a node an attribute that its operator has, with some value of the right type."""
    node = random.choice(graph.node)
    schema = onnx.defs.get_schema(node.op_type, node.domain)
    name = random.choice(sorted(schema.attributes))
    kinds = onnx.defs.OpSchema.AttrType
    match schema.attributes[name].type:
        case kinds.INT:
            value: Any = random.choice((*range(-4, 5), *INTEGERS))
        case kinds.INTS:
            value = [
                random.choice((0, 1, 1, 2, 2, 3, -1, 10**6)) for _ in range(random.choice((1, 2, 2, 3, 4, 4, 6)))
            ]
        case kinds.FLOAT:
            value = random.choice((0.1, 0.9, 2.5, -0.3, *REALS))
        case kinds.FLOATS:
            value = [random.choice((0.1, 2.5, -0.3, *REALS)) for _ in range(random.choice((1, 2, 4)))]
        case kinds.STRING:
            value = random.choice(CHOICES)
        case _:
            return
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def change_parameters(random: Random, graph: onnx.GraphProto) -> None:
    """Change the numbers, the shape or the type of a constant."""
    tensor = random.choice(graph.initializer)
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    with np.errstate(all="ignore"):
        values = _changed_values(random, numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))


def _changed_values(random: Random, values: Array) -> Array:
    match random.choice(("number", "number", "shape", "type", "size")):
        case "number" if values.dtype.kind == "f":
            values.reshape(-1)[random.randrange(values.size)] = random.choice(REALS)
        case "number":
            values.reshape(-1)[random.randrange(values.size)] = random.choice((*range(-3, 10), 10**4, 10**9))
        case "shape":
            values = random.choice((values.reshape(-1), values[None], values[..., None], values.T, values[:1]))
        case "type":
            kinds = (np.float16, np.float32, np.float64, np.int64, np.int32, np.bool_)
            values = values.astype(random.choice(kinds))
        case "size":
            values = np.repeat(values, random.choice((0, 2, 3)), axis=random.randrange(values.ndim))
    return values


def declare_shape(random: Random, graph: onnx.GraphProto) -> None:
    """Give the input another shape or type."""
    kind = graph.input[0].type.tensor_type
    if random.random() < 0.2:
        kind.elem_type = random.choice(TensorProto.DataType.values())
        return
    dim = random.choice(kind.shape.dim)
    if random.random() < 0.2:
        dim.dim_param = "n"
    else:
        dim.dim_value = random.choice((0, 1, 1, 2, 3, 4, 5, 8, -1, 1000, 10**6, 10**12, 2**63 - 1))


def declare_weights(random: Random, graph: onnx.GraphProto) -> None:
    """Let a constant claim another shape than it has values for."""
    tensor = random.choice(graph.initializer)
    if random.random() < 0.3:
        del tensor.dims[:]
    tensor.dims.append(random.choice(INTEGERS))


def explode(random: Random, graph: onnx.GraphProto) -> None:
    """Make something huge in few bytes."""
    size = random.choice((10**3, 10**5, 10**9, 10**12, 2**62))
    name = f"huge_{len(graph.node)}"
    source = random.choice(_names(graph))
    numbers = [random.choice((1, size)) for _ in range(random.choice((1, 2, 4)))]
    op, inputs = random.choice(
        (
            ("ConstantOfShape", ["numbers"]),
            ("Expand", [source, "numbers"]),
            ("Tile", [source, "numbers"]),
            ("Range", ["zero", "size", "one"]),
            ("Pad", [source, "numbers"]),
            ("Resize", [source, "", "", "numbers"]),
            ("OneHot", ["numbers", "size", "ends"]),
            ("EyeLike", [source]),
        )
    )
    constants = {"numbers": numbers, "size": size, "zero": 0, "one": 1, "ends": [0, 1]}
    given = {tensor.name for tensor in graph.initializer}
    for i in inputs:
        if i in constants and i not in given:
            graph.initializer.append(numpy_helper.from_array(np.array(constants[i], np.int64), i))
    _insert(
        graph,
        0 if source in inputs else random.randrange(len(graph.node) + 1),
        helper.make_node(op, inputs, [name]),
    )
    reader = random.choice(graph.node)
    reader.input[random.randrange(len(reader.input))] = name


def nest(random: Random, graph: onnx.GraphProto) -> None:
    """Put a node into the branches of an If, or into the body of a Loop, several times."""
    at = random.randrange(len(graph.node))
    node = onnx.NodeProto()
    node.CopyFrom(graph.node[at])
    if "condition" not in {tensor.name for tensor in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(np.array(True), "condition"))
    for depth in range(random.choice((1, 1, 2, 10, 40))):
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        body = helper.make_graph([node], f"body_{depth}", [], outputs)
        if random.random() < 0.8:
            branches = {"then_branch": body, "else_branch": body} if depth < 3 else {"then_branch": body}
            node = helper.make_node("If", ["condition"], list(node.output), **branches)
        else:
            node = helper.make_node("Loop", ["", "condition"], list(node.output), body=body)
    graph.node[at].CopyFrom(node)


def splice(random: Random, graph: onnx.GraphProto) -> None:
    """Append a copy of the whole graph, which reads a value of the first instead of the images."""
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    read, entry = random.choice(_names(graph)), graph.input[0].name
    weights = {tensor.name for tensor in graph.initializer}

    def renamed(name: str) -> str:
        return name if name in weights or not name else read if name == entry else f"{name}_2"

    for node in copy.node:
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    graph.node.extend(copy.node)
    graph.output[0].name = renamed(graph.output[0].name)


GRAPH_CHANGES: list[Callable[[Random, onnx.GraphProto], None]] = [
    *(append,) * 4,
    bypass,
    change_operator,
    change_output,
    *(change_parameters,) * 3,
    combine,
    declare_shape,
    declare_weights,
    drop_input,
    duplicate,
    explode,
    insert,
    nest,
    remove,
    rewire,
    *(set_attribute,) * 6,
    shuffle,
    splice,
]


def _names(graph: onnx.GraphProto, before: int | None = None) -> list[str]:
    """List the values that there are; or those that there are before a node."""
    names = [name for node in graph.node[:before] for name in node.output]
    return [*names, *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)]


def _insert(graph: onnx.GraphProto, at: int, node: onnx.NodeProto) -> None:
    nodes = [*graph.node[:at], node, *graph.node[at:]]
    kept = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del graph.node[:]
    graph.node.extend(kept)
