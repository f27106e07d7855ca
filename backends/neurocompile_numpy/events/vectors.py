"""The vector instructions of the kernels, written in LLVM's own terms, which fit them to whatever the CPU has.

A vector of many lanes becomes as many instructions as the CPU needs: AVX-512, AVX2, SSE or NEON; without any of
these LLVM takes the lanes one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba import config, types
from numba.extending import intrinsic

from neurocompile.ir.fixed_point import CURRENT_SHIFT, MEMBRANE_BITS, MEMBRANE_MAX

CHANNELS = 32
"""Whose spikes make a word, and are listed at once."""

MOST_ADDED = 256
"""Rows of bytes whose sums fit into 16 bits."""

UNROLLED = 4
"""Rows that are added between two tests whether there are more."""

BIAS = 128
"""That the lower byte of a pair is stored with, so that it is never negative."""

MOST_TALLIED = 255
"""Steps that are counted in a byte."""

_Builder = Any
_Value = Any

_I1, _I8, _I16, _I32, _I64 = (ir.IntType(width) for width in (1, 8, 16, 32, 64))
_REAL = ir.DoubleType()

_HALF_BYTE = 8
"""Channels that a table is asked for at once."""

features = config.CPU_FEATURES
if features is None:
    features = binding.get_host_cpu_features().flatten()


def _pointer(builder: _Builder, address: _Value, kind: ir.Type) -> _Value:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: _Builder, address: _Value, kind: ir.Type) -> _Value:
    value = builder.load(_pointer(builder, address, kind))
    value.align = 1
    return value


def _store(builder: _Builder, value: _Value, address: _Value) -> None:
    builder.store(value, _pointer(builder, address, value.type)).align = 1


def _splat(builder: _Builder, value: _Value, lanes: int) -> _Value:
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def _all(kind: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(kind, [value] * kind.count)


def _at(builder: _Builder, address: _Value, offset: _Value | int) -> _Value:
    return builder.add(address, _I64(offset) if isinstance(offset, int) else offset)


class _Loop:
    """A loop in LLVM's terms: ``i`` goes from a start to an end, and some values change on the way.

    Used as a context, within which ``values`` are to be replaced by what they are after one more turn.
    """

    def __init__(self, builder: _Builder, start: _Value, end: _Value, step: int, values: Sequence[_Value]) -> None:
        self._builder, self._end, self._step = builder, end, step
        before = builder.block
        self._body, self._after = (builder.append_basic_block(name) for name in ("body", "after"))
        builder.cbranch(builder.icmp_signed("<", start, end), self._body, self._after)
        builder.position_at_end(self._after)
        self._results = [builder.phi(value.type) for value in values]
        builder.position_at_end(self._body)
        self.i = builder.phi(_I64)
        self._phis = [builder.phi(value.type) for value in values]
        self.i.add_incoming(start, before)
        for phi, result, value in zip(self._phis, self._results, values, strict=True):
            phi.add_incoming(value, before)
            result.add_incoming(value, before)
        self.values: list[_Value] = list(self._phis)

    def __enter__(self) -> _Loop:
        return self

    def __exit__(self, *_: object) -> None:
        builder, last = self._builder, self._builder.block
        following = builder.add(self.i, _I64(self._step))
        branch = builder.cbranch(builder.icmp_signed("<", following, self._end), self._body, self._after)
        branch.set_metadata("llvm.loop", _not_unrolled(builder.module))
        self.i.add_incoming(following, last)
        for phi, result, value in zip(self._phis, self._results, self.values, strict=True):
            phi.add_incoming(value, last)
            result.add_incoming(value, last)
        builder.position_at_end(self._after)
        self.values = self._results


@intrinsic
def address(typing: Any, array: Any) -> Any:  # noqa: ARG001
    """``address(array)``: where its values are. That is good as long as something refers to the array."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        found = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(found.data, _I64)

    return types.int64(array), generate


@intrinsic
def load_word(typing: Any, address: Any) -> Any:  # noqa: ARG001
    """``load_word(address)``: read 32 bits."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        return builder.zext(_load(builder, arguments[0], _I32), _I64)

    return types.int64(types.int64), generate


@intrinsic
def list_by_table(typing: Any, to: Any, bits: Any, base: Any) -> Any:  # noqa: ARG001
    """Do the same as ``list_by_compression``, 8 bits at a time, by a table of what each pattern lists."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        to, bits, base = arguments
        row = ir.VectorType(_I16, _HALF_BYTE)
        table, listed = builder.ptrtoint(_table(builder.module), _I64), _I64(0)
        for first in range(0, CHANNELS, _HALF_BYTE):
            some = builder.and_(builder.lshr(bits, _I64(first)), _I64(255))
            lanes = _load(builder, _at(builder, table, builder.shl(some, _I64(4))), row)
            start = builder.trunc(_at(builder, base, first), _I16)
            numbers = builder.add(lanes, _splat(builder, start, _HALF_BYTE))
            _store(builder, numbers, _at(builder, to, builder.shl(listed, _I64(1))))
            listed = builder.add(listed, builder.ctpop(some))
        return listed

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def list_by_compression(typing: Any, to: Any, bits: Any, base: Any) -> Any:  # noqa: ARG001
    """``list_by_compression(to, bits, base)``: store a base plus the number of each bit that is set.

    Numbers are ``uint16``. Up to 32 are stored, and what is behind those of the bits that are set is overwritten.

    Returns
    -------
    int
        How many bits are set.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        to, bits, base = arguments
        kind, flags = ir.VectorType(_I16, CHANNELS), ir.VectorType(_I1, CHANNELS)
        start = _splat(builder, builder.trunc(base, _I16), CHANNELS)
        numbers = builder.add(start, ir.Constant(kind, list(range(CHANNELS))))
        word = builder.trunc(bits, _I32)
        function = _declared(
            builder.module, "llvm.experimental.vector.compress.v32i16", ir.FunctionType(kind, [kind, flags, kind])
        )
        whole = builder.call(function, [numbers, builder.bitcast(word, flags), ir.Constant(kind, ir.Undefined)])
        _store(builder, whole, to)
        return builder.zext(builder.ctpop(word), _I64)

    return types.int64(types.int64, types.int64, types.int64), generate


list_channels = list_by_compression if "+avx512vbmi2" in features.split(",") else list_by_table
"""The faster of the two."""


@intrinsic
def pad(typing: Any, to: Any, number: Any) -> Any:  # noqa: ARG001
    """``pad(to, number)``: store a number ``uint16`` as often as rows are added at once."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        to, number = arguments
        _store(builder, _splat(builder, builder.trunc(number, _I16), UNROLLED), to)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def row_adder(outputs: int) -> Callable[..., None]:
    """Make ``add_rows(rows, numbers, count, to, exponent, like)``: add up rows, and the sums to what ``to`` holds.

    Numbers are ``uint16``, and as many as to be added at once, or a multiple. The sums are multiplied by a power
    of two. They are ``int32`` or ``float64``, as ``like`` is, and stay in registers until all are added.

    Rows for ``int32`` are bytes in pairs, each one number of 16 bits: the lower byte is that of an output of the
    first half, plus 128, the upper one that of the output of the second half at the same place. The sum of the
    numbers, and that of their upper bytes, give both. Rows for ``float64`` are ``int32``, and so are their sums.

    Parameters
    ----------
    outputs
        Of a row.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        rows, numbers, count, to, exponent, _ = arguments
        if isinstance(signature.args[-1], types.Float):
            sums = [_sum_of_words(builder, rows, numbers, count, outputs)]
        else:
            sums = _sums_of_pairs(builder, rows, numbers, count, outputs)
        for part, total in enumerate(sums):
            scaled = _scaled(builder, total, exponent, signature.args[-1])
            place = _at(builder, to, part * scaled.type.count * _bytes(scaled.type.element))
            _store(builder, _add(builder, _load(builder, place, scaled.type), scaled), place)
        return context.get_dummy_value()

    @intrinsic
    def add_rows(
        typing: Any,  # noqa: ARG001
        rows: Any,  # noqa: ARG001
        numbers: Any,  # noqa: ARG001
        count: Any,  # noqa: ARG001
        to: Any,  # noqa: ARG001
        exponent: Any,  # noqa: ARG001
        like: Any,
    ) -> Any:
        return types.void(*[types.int64] * 5, like), generate

    adder: Callable[..., None] = add_rows
    return adder


def _sum_of_words(builder: _Builder, rows: _Value, numbers: _Value, count: _Value, outputs: int) -> _Value:
    kind = ir.VectorType(_I32, outputs)
    with _Loop(builder, _I64(0), count, UNROLLED, [_all(kind, 0)]) as loop:
        (total,) = loop.values
        for address in _addresses(builder, rows, numbers, loop.i, outputs * 4):
            total = builder.add(total, _load(builder, address, kind))
        loop.values = [total]
    return loop.values[0]


def _sums_of_pairs(builder: _Builder, rows: _Value, numbers: _Value, count: _Value, outputs: int) -> list[_Value]:
    narrow, wide = (ir.VectorType(kind, outputs // 2) for kind in (_I16, _I32))
    with _Loop(builder, _I64(0), count, MOST_ADDED, [_all(wide, 0)] * 2) as parts:
        left = builder.sub(count, parts.i)
        most = _I64(MOST_ADDED)
        some = builder.select(builder.icmp_signed("<", left, most), left, most)
        with _Loop(builder, parts.i, _at(builder, parts.i, some), UNROLLED, [_all(narrow, 0)] * 2) as loop:
            both, upper = loop.values
            for address in _addresses(builder, rows, numbers, loop.i, outputs):
                pairs = _load(builder, address, narrow)
                both = builder.add(both, pairs)
                upper = builder.add(upper, builder.ashr(pairs, _all(narrow, 8)))
            loop.values = [both, upper]
        both, upper = loop.values
        biases = _splat(builder, builder.trunc(builder.mul(some, _I64(BIAS)), _I16), outputs // 2)
        lower = builder.sub(builder.sub(both, builder.shl(upper, _all(narrow, 8))), biases)
        parts.values = [
            builder.add(total, builder.sext(sums, wide))
            for total, sums in zip(parts.values, (lower, upper), strict=True)
        ]
    return parts.values


def _addresses(builder: _Builder, rows: _Value, numbers: _Value, first: _Value, row_bytes: int) -> list[_Value]:
    """Give the addresses of the rows that are added at once."""
    listed = _load(builder, _at(builder, numbers, builder.shl(first, _I64(1))), ir.IntType(16 * UNROLLED))
    found = []
    for k in range(UNROLLED):
        number = builder.and_(builder.lshr(listed, listed.type(16 * k)), listed.type(2**16 - 1))
        found.append(_at(builder, rows, builder.mul(number, _I64(row_bytes))))
    return found


@intrinsic
def shift(typing: Any, value: Any, exponent: Any) -> Any:  # noqa: ARG001
    """``shift(value, exponent)``: multiply ``int32`` by a power of two, and round down; reals stay as they are."""

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        value, exponent = arguments
        return value if value.type == _REAL else _shifted(builder, value, builder.trunc(exponent, _I32), _I32)

    return value(value, types.int64), generate


def _shifted(builder: _Builder, value: _Value, exponent: _Value, kind: ir.IntType) -> _Value:
    lanes = getattr(value.type, "count", 0)
    none = kind(0)
    left = builder.select(builder.icmp_signed(">", exponent, none), exponent, none)
    right = builder.select(builder.icmp_signed("<", exponent, none), builder.neg(exponent), none)
    both = [_splat(builder, bits, lanes) if lanes else bits for bits in (left, right)]
    return builder.ashr(builder.shl(value, both[0]), both[1])


def _scaled(builder: _Builder, total: _Value, exponent: _Value, like: Any) -> _Value:
    """Multiply sums by a power of two, as ``int32`` or ``float64``."""
    if not isinstance(like, types.Float):
        return _shifted(builder, total, builder.trunc(exponent, _I32), _I32)
    # A power of two is an exponent, and nothing else.
    power = builder.bitcast(builder.shl(builder.add(exponent, _I64(1023)), _I64(52)), _REAL)
    lanes = total.type.count
    reals = builder.sitofp(total, ir.VectorType(_REAL, lanes))
    return builder.fmul(reals, _splat(builder, power, lanes))


def _add(builder: _Builder, a: _Value, b: _Value) -> _Value:
    return builder.fadd(a, b) if a.type.element == _REAL else builder.add(a, b)


def neuron_runner(
    lanes: int, *, subtract: bool = True, signed: bool = False, constant: bool = False
) -> Callable[..., None]:
    """Make ``run(currents, stride, steps, v, bias, threshold, sent, up, down, bits_stride, like)``.

    It runs some neurons of ``IntegrateAndFire`` for some steps. Membranes, currents, bias and threshold are
    ``int32`` or ``float64``, as ``like`` is, and ``sent`` is ``int32``: how many spikes were sent and not taken
    back. The bits of the spikes are stored at ``up``, and those of spikes taken back at ``down``.

    Parameters
    ----------
    lanes
        How many neurons.
    subtract
        Whether a spike subtracts the threshold; else the membrane is 0 after it.
    signed
        Whether a neuron that has fired takes a spike back where its membrane is below 0.
    constant
        Whether the currents of all steps are those of the first.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        currents, stride, steps, v, bias, threshold, sent, up, down, bits_stride, _ = arguments
        kind, whole = _membranes(signature, lanes), ir.VectorType(_I32, lanes)
        add, less = (builder.fadd, builder.fsub) if kind.element == _REAL else (builder.add, builder.sub)
        added, limit = (_load(builder, each, kind) for each in (bias, threshold))
        held = [_load(builder, v, kind)]
        received = _received(builder, _load(builder, currents, kind), added) if constant else None
        if signed:
            held.append(_load(builder, sent, whole))
        with _Loop(builder, _I64(0), steps, 1, held) as loop:
            if not constant:
                current = _load(builder, _at(builder, currents, builder.mul(loop.i, stride)), kind)
                received = _received(builder, current, added)
            x, bits = _integrated(builder, loop.values[0], received), builder.mul(loop.i, bits_stride)
            fires = _compare(builder, ">", x, limit)
            _store_bits(builder, fires, _at(builder, up, bits))
            after = less(x, builder.select(fires, limit, _all(kind, 0))) if subtract else None
            after = after or builder.select(fires, _all(kind, 0), x)
            loop.values[0] = after
            if signed:
                count = loop.values[1]
                some = builder.icmp_signed(">", count, _all(whole, 0))
                back = builder.and_(_compare(builder, "<", x, _all(kind, 0)), some)
                _store_bits(builder, back, _at(builder, down, bits))
                given = builder.sub(builder.zext(fires, whole), builder.zext(back, whole))
                loop.values = [add(after, builder.select(back, limit, _all(kind, 0))), builder.add(count, given)]
        _store(builder, loop.values[0], v)
        if signed:
            _store(builder, loop.values[1], sent)
        return context.get_dummy_value()

    @intrinsic
    def run(
        typing: Any,  # noqa: ARG001
        currents: Any,  # noqa: ARG001
        stride: Any,  # noqa: ARG001
        steps: Any,  # noqa: ARG001
        v: Any,  # noqa: ARG001
        bias: Any,  # noqa: ARG001
        threshold: Any,  # noqa: ARG001
        sent: Any,  # noqa: ARG001
        up: Any,  # noqa: ARG001
        down: Any,  # noqa: ARG001
        bits_stride: Any,  # noqa: ARG001
        like: Any,
    ) -> Any:
        return types.void(*[types.int64] * 10, like), generate

    runner: Callable[..., None] = run
    return runner


@intrinsic
def integrate(typing: Any, currents: Any, stride: Any, steps: Any, v: Any, bias: Any, like: Any) -> Any:  # noqa: ARG001
    """``integrate(currents, stride, steps, v, bias, like)``: add currents and a bias to 32 membranes at each step.

    Types are those of ``neuron_runner``. Integer currents wrap around, and membranes saturate, as Loihi's do.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        currents, stride, steps, v, bias, _ = arguments
        kind = _membranes(signature, CHANNELS)
        added = _load(builder, bias, kind)
        with _Loop(builder, _I64(0), steps, 1, [_load(builder, v, kind)]) as loop:
            current = _load(builder, _at(builder, currents, builder.mul(loop.i, stride)), kind)
            loop.values = [_integrated(builder, loop.values[0], _received(builder, current, added))]
        _store(builder, loop.values[0], v)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, like), generate


@intrinsic
def digit_step(
    typing: Any,  # noqa: ARG001
    v: Any,  # noqa: ARG001
    current: Any,  # noqa: ARG001
    limit: Any,  # noqa: ARG001
    half: Any,  # noqa: ARG001
    total: Any,  # noqa: ARG001
    up: Any,  # noqa: ARG001
    down: Any,  # noqa: ARG001
    like: Any,
) -> Any:
    """``digit_step(v, current, limit, half, total, up, down, like)``: a step of 32 ``DigitNeurons``.

    ``total`` is what they have sent, ``int32``; the rest as of ``neuron_runner``. They send a digit where a
    membrane is beyond a limit.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:
        kind, whole = _membranes(signature, CHANNELS), ir.VectorType(_I32, CHANNELS)
        real = kind.element == _REAL
        none = _all(kind, 0)
        v, current, limit, half = (_load(builder, each, kind) for each in arguments[:4])
        x = _integrated(builder, _add(builder, v, v), _received(builder, current, none))
        total = _load(builder, arguments[4], whole)
        lowest = builder.fsub(none, limit) if real else builder.sub(none, limit)
        fires = _compare(builder, ">", x, limit)
        some = builder.icmp_signed(">", total, _all(whole, 0))
        back = builder.and_(_compare(builder, "<", x, lowest), some)
        _store_bits(builder, fires, arguments[5])
        _store_bits(builder, back, arguments[6])
        given = builder.sub(builder.zext(fires, whole), builder.zext(back, whole))
        _store(builder, builder.add(builder.add(total, total), given), arguments[4])
        worth = _add(builder, half, half)
        taken, returned = (builder.select(each, worth, none) for each in (fires, back))
        after = builder.fsub(x, taken) if real else builder.sub(x, taken)
        _store(builder, _add(builder, after, returned), arguments[0])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, like), generate


@intrinsic
def follow(typing: Any, up: Any, down: Any, radix: Any, total: Any, leading: Any) -> Any:  # noqa: ARG001
    """``follow(up, down, radix, total, leading)``: a step of 32 neurons in front of a ``SpikeMaxPool``.

    Their spikes are bits, each of which counts ``radix`` times the next. What they have been worth so far,
    ``int32``, and the most that any neuron has, are brought up to date.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        up, down, radix, total, leading = arguments
        whole = ir.VectorType(_I32, CHANNELS)
        times = _splat(builder, builder.trunc(radix, _I32), CHANNELS)
        sent = builder.sub(_spread(builder, up), _spread(builder, down))
        worth = builder.add(builder.mul(_load(builder, total, whole), times), sent)
        most = _load(builder, leading, whole)
        _store(builder, worth, total)
        _store(builder, builder.select(builder.icmp_signed(">", worth, most), worth, most), leading)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@intrinsic
def lead(typing: Any, leading: Any, before: Any, radix: Any, up: Any, down: Any) -> Any:  # noqa: ARG001
    """``lead(leading, before, radix, up, down)``: store the bits of the spikes that 32 channels of a pool send.

    They make of what led before what leads now, which takes its place.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        leading, before, radix, up, down = arguments
        whole = ir.VectorType(_I32, CHANNELS)
        times = _splat(builder, builder.trunc(radix, _I32), CHANNELS)
        now = _load(builder, leading, whole)
        sent = builder.sub(now, builder.mul(_load(builder, before, whole), times))
        _store_bits(builder, builder.icmp_signed(">", sent, _all(whole, 0)), up)
        _store_bits(builder, builder.icmp_signed("<", sent, _all(whole, 0)), down)
        _store(builder, now, before)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@intrinsic
def tally(typing: Any, bits: Any, stride: Any, steps: Any, totals: Any) -> Any:  # noqa: ARG001
    """``tally(bits, stride, steps, totals)``: add how often each of 32 bits is set to ``int32`` totals.

    There are up to 255 steps.
    """

    def generate(context: Any, builder: _Builder, signature: Any, arguments: Sequence[_Value]) -> _Value:  # noqa: ARG001
        bits, stride, steps, totals = arguments
        narrow, whole = (ir.VectorType(kind, CHANNELS) for kind in (_I8, _I32))
        with _Loop(builder, _I64(0), steps, 1, [_all(narrow, 0)]) as loop:
            word = _load(builder, _at(builder, bits, builder.mul(loop.i, stride)), _I32)
            flags = builder.bitcast(word, ir.VectorType(_I1, CHANNELS))
            loop.values = [builder.add(loop.values[0], builder.zext(flags, narrow))]
        counted = builder.zext(loop.values[0], whole)
        _store(builder, builder.add(_load(builder, totals, whole), counted), totals)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


def _membranes(signature: Any, lanes: int) -> ir.VectorType:
    """Give the type of some membranes, which is that of the last argument."""
    return ir.VectorType(_REAL if isinstance(signature.args[-1], types.Float) else _I32, lanes)


def _compare(builder: _Builder, order: str, a: _Value, b: _Value) -> _Value:
    return (builder.fcmp_ordered if a.type.element == _REAL else builder.icmp_signed)(order, a, b)


def _spread(builder: _Builder, address: _Value) -> _Value:
    """Load 32 bits, each as a number."""
    flags = builder.bitcast(_load(builder, address, _I32), ir.VectorType(_I1, CHANNELS))
    return builder.zext(flags, ir.VectorType(_I32, CHANNELS))


def _store_bits(builder: _Builder, flags: _Value, address: _Value) -> None:
    _store(builder, builder.bitcast(flags, ir.IntType(flags.type.count)), address)


def _received(builder: _Builder, current: _Value, bias: _Value) -> _Value:
    """Give what a current and a bias add to a membrane."""
    if current.type.element == _REAL:
        return builder.fadd(current, bias)
    unused = 32 - MEMBRANE_BITS
    wrapped = builder.shl(current, _all(current.type, unused + CURRENT_SHIFT))
    return builder.add(builder.ashr(wrapped, _all(current.type, unused)), bias)


def _integrated(builder: _Builder, v: _Value, received: _Value) -> _Value:
    x = _add(builder, v, received)
    if x.type.element == _REAL:
        return x
    for order, bound in (("<", _all(x.type, -MEMBRANE_MAX)), (">", _all(x.type, MEMBRANE_MAX))):
        x = builder.select(builder.icmp_signed(order, x, bound), bound, x)
    return x


def _bytes(kind: ir.Type) -> int:
    return 8 if kind == _REAL else int(kind.width) // 8


def _declared(module: Any, name: str, kind: ir.FunctionType) -> Any:
    return module.globals[name] if name in module.globals else ir.Function(module, kind, name)


def _not_unrolled(module: Any) -> Any:
    """Tell LLVM to leave a loop as it is: these do enough at a time, and more would take long to compile."""
    option = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([option, ir.Constant(_I32, len(module.metadata))])
    # A loop's metadata name themselves first.
    loop.operands = (loop, option)
    return loop


def _table(module: Any) -> Any:
    """Give for each pattern of 8 bits the numbers of those that are set, one after another."""
    name = "neurocompile_bits_of_byte"
    if name in module.globals:
        return module.globals[name]
    rows = []
    for pattern in range(256):
        found = [bit for bit in range(_HALF_BYTE) if pattern >> bit & 1]
        rows += found + [0] * (_HALF_BYTE - len(found))
    table = ir.GlobalVariable(module, ir.ArrayType(_I16, len(rows)), name)
    table.initializer = ir.Constant(table.value_type, rows)
    table.global_constant, table.linkage = True, "internal"
    return table
