"""Networks as tf2onnx and keras2onnx write them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from textual_models import integers, model, norm, number, positive, real

# tf2onnx writes TensorFlow's channels-last layers as Transposes around ONNX's; its optimizer drops most of them.
TENSORFLOW: Mapping[str, onnx.ModelProto] = {
    # Conv2D with SAME padding, which TensorFlow adds at the end; ReLU(6), ZeroPadding2D, DepthwiseConv2D,
    # BatchNormalization, LeakyReLU, MaxPooling2D; Flatten goes over the channels last.
    "tf2onnx, convolutions": model(
        13,
        "unk__31, 8, 8, 3",
        "unk__31, 5",
        """
        nchw = Transpose <perm = [0, 3, 1, 2]> (x)
        conv = Conv <pads = [0, 0, 1, 1], strides = [2, 2], kernel_shape = [3, 3], dilations = [1, 1], group = 1>
            (nchw, kernel, bias)
        relu = Relu (conv)
        relu6 = Clip (relu, zero, six)
        padded = Pad <mode = "constant"> (relu6, pads)
        depthwise = Conv <pads = [0, 0, 0, 0], strides = [1, 1], kernel_shape = [3, 3], group = 4> (padded, depth)
        normed = BatchNormalization <epsilon = 0.001> (depthwise, bn_scale, bn_b, bn_mean, bn_var)
        leaky = LeakyRelu <alpha = 0.3> (normed)
        pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0]> (leaky)
        nhwc = Transpose <perm = [0, 2, 3, 1]> (pooled)
        flat = Reshape (nhwc, flat_shape)
        product = MatMul (flat, dense)
        scores = Add (product, dense_bias)
        y = Softmax <axis = -1> (scores)
        """,
        kernel=real(4, 3, 3, 3),
        bias=real(4),
        zero=number(0),
        six=number(0.6),
        pads=integers(0, 0, 1, 1, 0, 0, 1, 1),
        depth=real(4, 1, 3, 3),
        **norm(4),
        flat_shape=integers(-1, 16),
        dense=real(16, 5),
        dense_bias=real(5),
    ),
    # Images of one channel are turned by a Reshape. Biases and a BatchNormalization that were not fused, on the
    # last axis; ReLU6 as Max and Min; GlobalAveragePooling2D.
    "tf2onnx without its optimizer": model(
        11,
        "unk__8, 10, 10, 1",
        "unk__8, 4",
        """
        nchw = Reshape (x, turned)
        conv = Conv <auto_pad = "SAME_UPPER", strides = [2, 2], kernel_shape = [2, 2]> (nchw, kernel)
        biased = Add (conv, bias)
        nhwc = Transpose <perm = [0, 2, 3, 1]> (biased)
        scaled = Mul (nhwc, gamma)
        normed = Add (scaled, beta)
        above = Max (normed, zero)
        relu6 = Min (above, six)
        nchw2 = Transpose <perm = [0, 3, 1, 2]> (relu6)
        pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2], auto_pad = "VALID"> (nchw2)
        nhwc2 = Transpose <perm = [0, 2, 3, 1]> (pooled)
        mean = ReduceMean <axes = [1, 2], keepdims = 0> (nhwc2)
        product = MatMul (mean, dense)
        scores = Add (product, dense_bias)
        y = Identity (scores)
        """,
        turned=integers(-1, 1, 10, 10),
        kernel=real(6, 1, 2, 2),
        bias=real(1, 6, 1, 1),
        gamma=positive(6),
        beta=real(6),
        zero=np.zeros(1, np.float32),
        six=np.full(1, 0.6, np.float32),
        dense=real(6, 4),
        dense_bias=real(4),
    ),
    # tf.reshape(x, [tf.shape(x)[0], -1])
    "tf2onnx, flatten of an open batch": model(
        13,
        "unk__1, 5, 5, 2",
        "unk__1, 3",
        """
        nchw = Transpose <perm = [0, 3, 1, 2]> (x)
        conv = Conv <kernel_shape = [3, 3]> (nchw, kernel, bias)
        relu = Relu (conv)
        nhwc = Transpose <perm = [0, 2, 3, 1]> (relu)
        shape = Shape (nhwc)
        shape32 = Cast <to = 6> (shape)
        sliced = Slice (shape32, start, end, axes)
        batch = Squeeze (sliced, axes)
        first = Unsqueeze (batch, axes)
        packed = Concat <axis = 0> (first, rest)
        target = Cast <to = 7> (packed)
        flat = Reshape (nhwc, target)
        y = MatMul (flat, dense)
        """,
        kernel=real(4, 2, 3, 3),
        bias=real(4),
        start=integers(0),
        end=integers(1),
        axes=integers(0),
        rest=np.array([-1], np.int32),
        dense=real(36, 3),
    ),
    # UpSampling2D by scales, and as tf.image.resize, by a size that is put together from the shape;
    # Conv2DTranspose, Concatenate.
    "tf2onnx, decoder": model(
        11,
        "unk__4, 8, 8, 3",
        "unk__4, 8, 8, 2",
        """
        nchw = Transpose <perm = [0, 3, 1, 2]> (x)
        conv = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (nchw, kernel, bias)
        relu = Relu (conv)
        up = Resize <coordinate_transformation_mode = "tf_half_pixel_for_nn", mode = "nearest",
            nearest_mode = "floor"> (relu, roi, scales)
        shape = Shape (relu)
        channels = Slice (shape, start, end, axes)
        sizes = Concat <axis = 0> (channels, size)
        resized = Resize <coordinate_transformation_mode = "half_pixel", mode = "nearest",
            nearest_mode = "round_prefer_ceil"> (relu, roi, roi, sizes)
        transposed = ConvTranspose <strides = [2, 2], auto_pad = "SAME_UPPER"> (relu, kernel_up)
        biased = Add (transposed, bias_up)
        all = Concat <axis = 1> (up, resized, biased)
        out = Conv <kernel_shape = [1, 1]> (all, last)
        y = Transpose <perm = [0, 2, 3, 1]> (out)
        """,
        kernel=real(4, 3, 3, 3),
        bias=real(4),
        roi=np.zeros(0, np.float32),
        scales=np.array([1, 1, 2, 2], np.float32),
        start=integers(0),
        end=integers(2),
        axes=integers(0),
        size=integers(8, 8),
        kernel_up=real(4, 3, 3, 3),
        bias_up=real(1, 3, 1, 1),
        last=real(2, 11, 1, 1),
    ),
    # The mean over an image keeps its axes for a convolution, and Squeeze takes them away.
    "tf2onnx, MobileNet's head": model(
        9,
        "N, 4, 4, 3",
        "N, 4",
        """
        nchw = Transpose <perm = [0, 3, 1, 2]> (x)
        conv = Conv <kernel_shape = [1, 1]> (nchw, kernel)
        relu6 = Clip <min = 0.0, max = 0.5> (conv)
        pooled = GlobalAveragePool (relu6)
        scores = Conv <kernel_shape = [1, 1]> (pooled, logits, bias)
        nhwc = Transpose <perm = [0, 2, 3, 1]> (scores)
        squeezed = Squeeze <axes = [1, 2]> (nhwc)
        y = Softmax <axis = 1> (squeezed)
        """,
        kernel=real(6, 3, 1, 1),
        logits=real(4, 6, 1, 1),
        bias=real(4),
    ),
    "keras2onnx": model(
        8,
        "N, 5, 5, 2",
        "N, 3",
        """
        adjusted_input1 = Transpose <perm = [0, 3, 1, 2]> (x)
        conv = Conv <auto_pad = "SAME_UPPER", dilations = [1, 1], kernel_shape = [3, 3], strides = [1, 1]>
            (adjusted_input1, W0, B0)
        nhwc = Transpose <perm = [0, 2, 3, 1]> (conv)
        elu = Elu <alpha = 1.0> (nhwc)
        nchw = Transpose <perm = [0, 3, 1, 2]> (elu)
        normed = BatchNormalization <epsilon = 0.001, momentum = 0.99> (nchw, bn_scale, bn_b, bn_mean, bn_var)
        pooled = AveragePool <auto_pad = "SAME_UPPER", kernel_shape = [2, 2], strides = [2, 2]> (normed)
        nhwc2 = Transpose <perm = [0, 2, 3, 1]> (pooled)
        flattened = Reshape (nhwc2, shape)
        product = MatMul (flattened, W1)
        biased = Add (product, B1)
        y = Softmax <axis = -1> (biased)
        """,
        ir_version=3,
        W0=real(4, 2, 3, 3),
        B0=real(4),
        **norm(4),
        shape=integers(0, -1),
        W1=real(36, 3),
        B1=real(3),
    ),
}
