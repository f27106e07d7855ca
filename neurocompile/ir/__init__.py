"""The intermediate representation: one immutable graph, a dialect of layers and a dialect of processes."""

from neurocompile.ir.graph import Graph, Node, run
from neurocompile.ir.op import Array, Op, TensorType

__all__ = ["Array", "Graph", "Node", "Op", "TensorType", "run"]
