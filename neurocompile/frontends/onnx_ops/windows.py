"""What operators with a sliding window share: kernel, strides, dilations and padding."""

from __future__ import annotations

from neurocompile.frontends.onnx_node import OnnxNode
from neurocompile.ir.kernels import Window


def read_window(node: OnnxNode, kernel: tuple[int, ...]) -> Window:
    """Read a node's window over the axes of space.

    Parameters
    ----------
    node
        With a computed first input ``(channels, *space)``.
    kernel
        The window's size.
    """
    axes = len(kernel)
    declared = node.integers("kernel_shape", kernel)
    stride = node.integers("strides", (1,) * axes)
    dilation = node.integers("dilations", (1,) * axes)
    for name, numbers in (("kernel_shape", declared), ("strides", stride), ("dilations", dilation)):
        if len(numbers) != axes or min(numbers, default=0) < 1:
            problem = f"has {name}={list(numbers)}; {axes} positive numbers are needed"
            raise node.error(problem, "use a layer of as many axes as its input")
    if declared != kernel:
        raise node.error(f"has kernel_shape={list(declared)} and weights of {list(kernel)}", "export it again")
    space = node.shape()[1:]
    if len(space) != axes:
        problem = f"takes (channels, *space) with {axes} axes of space, not {list(node.shape())}"
        raise node.error(problem, "use the layer of the right number of axes, before flattening")
    return Window(kernel, stride, _padding(node, space, kernel, stride, dilation), dilation)


def _padding(
    node: OnnxNode,
    space: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    automatic = node.text("auto_pad", "NOTSET")
    none = (0,) * 2 * len(space)
    if automatic == "VALID":
        return none
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
            for n, k, s, d in zip(space, kernel, stride, dilation, strict=True)
        ]
        less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return tuple(less + more if automatic == "SAME_UPPER" else more + less)
    pads = node.integers("pads", none)
    if automatic != "NOTSET" or len(pads) != len(none) or min(pads) < 0:
        problem = f"has auto_pad={automatic}, pads={list(pads)}; {len(none)} numbers, none negative, are needed"
        raise node.error(problem, "crop the images outside the model")
    return pads
