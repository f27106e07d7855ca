"""The vector instructions of the kernels, written in LLVM's own terms, which fit them to whatever the CPU has.

A vector of 16 lanes is one instruction with AVX-512, two with AVX2 and four with NEON; without any of these LLVM
takes the lanes one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from neurocompile.ir.fixed_point import CURRENT_SHIFT, MEMBRANE_BITS, MEMBRANE_MAX

LANES = 16
"""Of a vector."""

_Builder = Any
_Value = Any

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _vector(element: ir.Type) -> ir.VectorType:
    return ir.VectorType(element, LANES)


def _pointer(builder: _Builder, address: _Value, kind: ir.Type, offset: int) -> _Value:
    return builder.inttoptr(builder.add(address, _I64(offset)), kind.as_pointer())


def _load(builder: _Builder, address: _Value, kind: ir.Type, offset: int = 0) -> _Value:
    value = builder.load(_pointer(builder, address, kind, offset))
    value.align = 1
    return value


def _store(builder: _Builder, value: _Value, address: _Value, offset: int = 0) -> None:
    builder.store(value, _pointer(builder, address, value.type, offset)).align = 1


def _splat(builder: _Builder, value: _Value, lanes: int) -> _Value:
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


@intrinsic
def append(typing: Any, to: Any, codes: Any, base: Any) -> Any:  # noqa: ARG001
    """``append(to, codes, base)``: add a base to 16 numbers ``uint32``, and store them."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        to, codes, base = arguments
        bases = _splat(builder, builder.trunc(base, _I32), LANES)
        _store(builder, builder.add(_load(builder, codes, _vector(_I32)), bases), to)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def masks(typing: Any, address: Any) -> Any:  # noqa: ARG001
    """``masks(address)``: of 16 values ``int8`` a bit for each above 0, and one for each below."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        values = _load(builder, arguments[0], _vector(_I8))
        zero = ir.Constant(_vector(_I8), [0] * LANES)
        found = [builder.icmp_signed(order, values, zero) for order in (">", "<")]
        bits = [builder.zext(builder.bitcast(each, ir.IntType(LANES)), _I64) for each in found]
        return context.make_tuple(builder, signature.return_type, bits)

    return types.UniTuple(types.int64, 2)(types.int64), generate


@intrinsic
def expand(typing: Any, to: Any, lanes: Any, base: Any) -> Any:  # noqa: ARG001
    """``expand(to, lanes, base)``: add a base to 8 numbers ``uint8``, and store them as ``uint32``."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        to, lanes, base = arguments
        wide = builder.zext(_load(builder, lanes, ir.VectorType(_I8, LANES // 2)), ir.VectorType(_I32, LANES // 2))
        _store(builder, builder.add(wide, _splat(builder, builder.trunc(base, _I32), LANES // 2)), to)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def count_ones(typing: Any, bits: Any) -> Any:  # noqa: ARG001
    """``count_ones(bits)``: how many bits are set."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


def row_adder(vectors: int, row: ir.Type, sum_: ir.Type, total: ir.Type) -> Callable[..., None]:
    """Make ``add_rows(rows, stride, list, count, to)``: add up the listed rows, and the sum to what ``to`` holds.

    The sums stay in registers.

    Parameters
    ----------
    vectors
        How many vectors of a row are added.
    row, sum_, total
        The types of the rows' values, of the sums in registers, and of those in memory.
    """
    is_real = isinstance(sum_, ir.DoubleType)
    row_bytes, total_bytes = (_bytes(kind) * LANES for kind in (row, total))

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        rows, stride, numbers, count, to = arguments
        add = builder.fadd if is_real else builder.add
        zero = ir.Constant(_vector(sum_), [0.0 if is_real else 0] * LANES)
        before, loop, after = builder.block, builder.append_basic_block("row"), builder.append_basic_block("sum")
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(_I64)
        sums = [builder.phi(_vector(sum_)) for _ in range(vectors)]
        number = builder.zext(_load(builder, builder.add(numbers, builder.shl(i, _I64(2))), _I32), _I64)
        address = builder.add(rows, builder.mul(number, stride))
        added = []
        for k in range(vectors):
            values = _load(builder, address, _vector(row), k * row_bytes)
            added.append(add(sums[k], values if is_real else builder.sext(values, _vector(sum_))))
        following = builder.add(i, _I64(1))
        builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
        for phi, start, end in zip((i, *sums), (_I64(0), *[zero] * vectors), (following, *added), strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(end, loop)
        builder.position_at_end(after)
        for k in range(vectors):
            held = _load(builder, to, _vector(total), k * total_bytes)
            wide = added[k] if is_real else builder.sext(added[k], _vector(total))
            _store(builder, add(held, wide), to, k * total_bytes)
        return context.get_dummy_value()

    @intrinsic
    def add_rows(typing: Any, rows: Any, stride: Any, numbers: Any, count: Any, to: Any) -> Any:  # noqa: ARG001
        return types.void(*[types.int64] * 5), generate

    adder: Callable[..., None] = add_rows
    return adder


@intrinsic
def integrate(typing: Any, v: Any, current: Any, bias: Any, like: Any) -> Any:  # noqa: ARG001
    """``integrate(v, current, bias, like)``: add a current and a bias to 16 membranes.

    They are ``float64`` or ``int32``, as ``like`` is. Integer currents wrap around, and membranes saturate, as
    Loihi's do.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        kind = _membranes(signature)
        _store(
            builder, _integrated(builder, *(_load(builder, each, kind) for each in arguments[:3])), arguments[0]
        )
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, like), generate


def neuron_stepper(*, subtract: bool, signed: bool) -> Callable[..., None]:
    """Make ``step(v, current, bias, threshold, count, spikes, like)``: 16 neurons of ``IntegrateAndFire``.

    Membranes are as those of ``integrate``, ``count`` is ``int32`` and ``spikes`` are ``int8``.

    Parameters
    ----------
    subtract
        Whether a spike subtracts the threshold; else the membrane is 0 after it.
    signed
        Whether a neuron that has fired takes a spike back where its membrane is below 0.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        kind = _membranes(signature)
        real = isinstance(kind.element, ir.DoubleType)
        add, less = (builder.fadd, builder.fsub) if real else (builder.add, builder.sub)
        compare = builder.fcmp_ordered if real else builder.icmp_signed
        zeros, none = (ir.Constant(each, [0] * LANES) for each in (kind, _vector(_I32)))
        v, current, bias, limit = (_load(builder, each, kind) for each in arguments[:4])
        count, spikes = arguments[4:6]
        x = _integrated(builder, v, current, bias)
        up = compare(">", x, limit)
        sent = builder.zext(up, _vector(_I8))
        after = less(x, builder.select(up, limit, zeros)) if subtract else builder.select(up, zeros, x)
        if signed:
            counts = _load(builder, count, _vector(_I32))
            down = builder.and_(compare("<", x, zeros), builder.icmp_signed(">", counts, none))
            sent = builder.sub(sent, builder.zext(down, _vector(_I8)))
            after = add(after, builder.select(down, limit, zeros))
            _store(builder, builder.add(counts, builder.sext(sent, _vector(_I32))), count)
        _store(builder, after, arguments[0])
        _store(builder, sent, spikes)
        return context.get_dummy_value()

    @intrinsic
    def step(
        typing: Any,  # noqa: ARG001
        v: Any,  # noqa: ARG001
        current: Any,  # noqa: ARG001
        bias: Any,  # noqa: ARG001
        threshold: Any,  # noqa: ARG001
        count: Any,  # noqa: ARG001
        spikes: Any,  # noqa: ARG001
        like: Any,
    ) -> Any:
        return types.void(*[types.int64] * 6, like), generate

    stepper: Callable[..., None] = step
    return stepper


def _membranes(signature: Any) -> ir.VectorType:
    """Give the type of 16 membranes, which is that of the last argument."""
    return _vector(ir.DoubleType() if isinstance(signature.args[-1], types.Float) else _I32)


def _integrated(builder: _Builder, v: _Value, current: _Value, bias: _Value) -> _Value:
    if isinstance(v.type.element, ir.DoubleType):
        return builder.fadd(builder.fadd(v, current), bias)

    def constant(value: int) -> ir.Constant:
        return ir.Constant(v.type, [value] * LANES)

    unused = 32 - MEMBRANE_BITS
    received = builder.ashr(builder.shl(current, constant(unused + CURRENT_SHIFT)), constant(unused))
    x = builder.add(v, builder.add(received, bias))
    for order, bound in (("<", constant(-MEMBRANE_MAX)), (">", constant(MEMBRANE_MAX))):
        x = builder.select(builder.icmp_signed(order, x, bound), bound, x)
    return x


def _bytes(kind: ir.Type) -> int:
    return 8 if isinstance(kind, ir.DoubleType) else int(kind.width) // 8
