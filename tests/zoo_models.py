"""Networks as in the files of the ONNX model zoo, which https://github.com/onnx/models keeps, and some others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from textual_models import integers, model, norm, number, positive, real

ZOO: Mapping[str, onnx.ModelProto] = {
    # mnist, with the scaled input of emotion-ferplus.
    "CNTK": model(
        8,
        "1, 1, 9, 9",
        "1, 10",
        """
        Minus340 = Sub (x, Constant339)
        Block352 = Div (Minus340, Constant343)
        Convolution28 = Conv <kernel_shape = [5, 5], strides = [1, 1], auto_pad = "SAME_UPPER", group = 1>
            (Block352, Parameter5)
        Plus30 = Add (Convolution28, Parameter6)
        ReLU32 = Relu (Plus30)
        Pooling66 = MaxPool <kernel_shape = [3, 3], strides = [3, 3], pads = [0, 0, 0, 0]> (ReLU32)
        Dropped, Dropped_mask = Dropout <ratio = 0.25> (Pooling66)
        Times212_reshape0 = Reshape (Dropped, Pooling160_shape)
        Times212_reshape1 = Reshape (Parameter193, Parameter193_shape)
        Times212 = MatMul (Times212_reshape0, Times212_reshape1)
        y = Add (Times212, Parameter194)
        """,
        ir_version=3,
        Constant339=number(0.5),
        Constant343=number(0.3),
        Parameter5=real(4, 1, 5, 5),
        Parameter6=real(4, 1, 1),
        Pooling160_shape=integers(1, 36),
        Parameter193=real(4, 3, 3, 10),
        Parameter193_shape=integers(36, 10),
        Parameter194=real(1, 10),
    ),
    # resnet50
    "Caffe2, ResNet": model(
        9,
        "1, 3, 8, 8",
        "1, 5",
        """
        conv1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1]> (x, conv1_w)
        conv1_bn = BatchNormalization <epsilon = 0.00001, momentum = 0.9> (conv1, bn_scale, bn_b, bn_mean, bn_var)
        conv1_relu = Relu (conv1_bn)
        pool1 = MaxPool <kernel_shape = [3, 3], pads = [0, 0, 2, 2], strides = [2, 2]> (conv1_relu)
        branch2a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (pool1, branch2a_w, branch2a_b)
        branch2c = Sum (branch2a, pool1)
        branch2c_relu = Relu (branch2c)
        pool5 = AveragePool <kernel_shape = [4, 4], pads = [0, 0, 0, 0], strides = [1, 1]> (branch2c_relu)
        OC2_DUMMY_0 = Reshape (pool5, OC2_DUMMY_1)
        pred = Gemm <transB = 1> (OC2_DUMMY_0, pred_w, pred_b)
        y = Softmax (pred)
        """,
        ir_version=3,
        conv1_w=real(4, 3, 3, 3),
        **norm(4),
        branch2a_w=real(4, 4, 3, 3),
        branch2a_b=real(4),
        OC2_DUMMY_1=integers(1, 4),
        pred_w=real(5, 4),
        pred_b=real(5),
    ),
    # squeezenet: its scores keep the axes of space, and the old Softmax works on all axes but the first.
    "Caffe2, SqueezeNet": model(
        7,
        "1, 3, 6, 6",
        "1, 5, 1, 1",
        """
        squeeze = Conv <kernel_shape = [1, 1]> (x, squeeze_w, squeeze_b)
        squeeze_relu = Relu (squeeze)
        narrow = Conv <kernel_shape = [1, 1]> (squeeze_relu, narrow_w, narrow_b)
        narrow_relu = Relu (narrow)
        wide = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (squeeze_relu, wide_w, wide_b)
        wide_relu = Relu (wide)
        concat = Concat <axis = 1> (narrow_relu, wide_relu)
        dropped, mask = Dropout <ratio = 0.5> (concat)
        conv10 = Conv <kernel_shape = [1, 1]> (dropped, conv10_w, conv10_b)
        conv10_relu = Relu (conv10)
        pool10 = GlobalAveragePool (conv10_relu)
        y = Softmax (pool10)
        """,
        ir_version=3,
        squeeze_w=real(2, 3, 1, 1),
        squeeze_b=real(2),
        narrow_w=real(4, 2, 1, 1),
        narrow_b=real(4),
        wide_w=real(4, 2, 3, 3),
        wide_b=real(4),
        conv10_w=real(5, 8, 1, 1),
        conv10_b=real(5),
    ),
    # densenet-121: Caffe's Scale layer.
    "Caffe, DenseNet": model(
        9,
        "1, 3, 6, 6",
        "1, 5, 1, 1",
        """
        conv1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, conv1_w)
        conv1_bn = BatchNormalization (conv1, bn_scale, bn_b, bn_mean, bn_var)
        scale_w4 = Unsqueeze <axes = [1, 2]> (scale_w)
        scale_b4 = Unsqueeze <axes = [1, 2]> (scale_b)
        scaled = Mul (conv1_bn, scale_w4)
        shifted = Add (scaled, scale_b4)
        relu1 = Relu (shifted)
        conv2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (relu1, conv2_w)
        concat_2_1 = Concat <axis = 1> (relu1, conv2)
        pool2 = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (concat_2_1)
        pool5 = GlobalAveragePool (pool2)
        y = Conv <kernel_shape = [1, 1]> (pool5, fc6_w, fc6_b)
        """,
        ir_version=3,
        conv1_w=real(4, 3, 3, 3),
        **norm(4),
        scale_w=positive(4),
        scale_b=real(4),
        conv2_w=real(2, 4, 3, 3),
        fc6_w=real(5, 6, 1, 1),
        fc6_b=real(5),
    ),
    # Caffe rounds the sizes of pools up. The shape of the Reshape is a node, the biases are one number.
    "Caffe, GoogLeNet": model(
        10,
        "1, 3, 13, 13",
        "1, 5",
        """
        conv1 = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x, conv1_w, conv1_b)
        relu1 = Relu (conv1)
        pool1 = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (relu1)
        pool2 = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (pool1)
        dropped = Dropout <ratio = 0.4> (pool2)
        shape = Constant <value = int64[2] {-1, 16}> ()
        flat = Reshape (dropped, shape)
        y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (flat, fc_w, fc_b)
        """,
        ir_version=3,
        conv1_w=real(4, 3, 3, 3),
        conv1_b=real(4),
        fc_w=real(5, 16),
        fc_b=real(1),
    ),
    # resnet18v2: BatchNormalization on the images and before ReLU; a LeakyRelu and a copy besides.
    "MXNet, ResNet": model(
        8,
        "1, 3, 6, 6",
        "1, 5",
        """
        bn0 = BatchNormalization <momentum = 0.9, spatial = 1> (x, in_scale, in_b, in_mean, in_var)
        conv0 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1], group = 1> (bn0, conv0_weight)
        bn1 = BatchNormalization <momentum = 0.9, spatial = 1> (conv0, bn_scale, bn_b, bn_mean, bn_var)
        relu0 = Relu (bn1)
        conv1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (relu0, conv1_weight)
        plus0 = Add (conv1, conv0)
        leaky0 = LeakyRelu <alpha = 0.1> (plus0)
        pool0 = MaxPool <kernel_shape = [2, 2], pads = [0, 0, 0, 0], strides = [2, 2]> (leaky0)
        pool1 = GlobalAveragePool (pool0)
        copy0 = Identity (pool1)
        flatten0 = Flatten (copy0)
        y = Gemm <transB = 1, alpha = 1.0, beta = 1.0> (flatten0, dense_weight, dense_bias)
        """,
        ir_version=3,
        **norm(3, "in"),
        conv0_weight=real(4, 3, 3, 3),
        **norm(4),
        conv1_weight=real(4, 4, 3, 3),
        dense_weight=real(5, 4),
        dense_bias=real(5),
    ),
    # arcface: PRelu with a slope for each channel, BatchNormalization of a vector.
    "MXNet, ArcFace": model(
        8,
        "1, 3, 6, 6",
        "1, 5",
        """
        minusscalar0 = Sub (x, scalar_op1)
        mulscalar0 = Mul (minusscalar0, scalar_op2)
        conv0 = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (mulscalar0, conv0_weight)
        relu0 = PRelu (conv0, relu0_gamma)
        flat = Reshape (relu0, shape)
        pre_fc1 = Gemm <transB = 1> (flat, fc_weight, fc_bias)
        y = BatchNormalization <epsilon = 0.00002, spatial = 1> (pre_fc1, bn_scale, bn_b, bn_mean, bn_var)
        """,
        ir_version=3,
        scalar_op1=np.array([0.5], np.float32),
        scalar_op2=np.array([2], np.float32),
        conv0_weight=real(4, 3, 3, 3),
        relu0_gamma=real(4, 1, 1),
        shape=integers(0, -1),
        fc_weight=real(5, 36),
        fc_bias=real(5),
        **norm(5),
    ),
    # tiny_yolov2: scaled images, LeakyRelu, and a MaxPool with stride 1 and SAME padding.
    "WinML, YOLO": model(
        8,
        "None, 3, 6, 6",
        "None, 5, 6, 6",
        """
        image2 = Mul (x, scale)
        image3 = Add (image2, bias)
        conv = Conv <kernel_shape = [3, 3], auto_pad = "SAME_UPPER"> (image3, W)
        normed = BatchNormalization <epsilon = 0.001, momentum = 0.0> (conv, bn_scale, bn_b, bn_mean, bn_var)
        leaky = LeakyRelu <alpha = 0.1> (normed)
        pool = MaxPool <kernel_shape = [2, 2], strides = [1, 1], auto_pad = "SAME_UPPER"> (leaky)
        y = Conv <kernel_shape = [1, 1]> (pool, W8, B8)
        """,
        ir_version=3,
        scale=np.array([0.4], np.float32),
        bias=real(3, 1, 1),
        W=real(4, 3, 3, 3),
        **norm(4),
        W8=real(5, 4, 1, 1),
        B8=real(5),
    ),
}

OTHERS: Mapping[str, onnx.ModelProto] = {
    # Numbers, shapes and some weights are nodes; hard swish is in its parts.
    "Paddle2ONNX": model(
        11,
        "?, 3, 6, 6",
        "?, 5",
        """
        conv = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1], group = 1> (x, conv2d_0_w_0)
        shape = Constant <value = int64[4] {1, -1, 1, 1}> ()
        bias = Constant <value = float[4] {0.1, -0.2, 0.3, -0.4}> ()
        bias4 = Reshape (bias, shape)
        elementwise_add_0 = Add (conv, bias4)
        normed = BatchNormalization <momentum = 0.9> (elementwise_add_0, bn_scale, bn_b, bn_mean, bn_var)
        three = Constant <value = float {3.0}> ()
        zero = Constant <value = float {0.0}> ()
        six = Constant <value = float {6.0}> ()
        shifted = Add (normed, three)
        clipped = Clip (shifted, zero, six)
        product = Mul (normed, clipped)
        hard_swish = Div (product, six)
        half = Constant <value = float[1] {0.5}> ()
        scale_0 = Mul (hard_swish, half)
        relu6_0 = Clip (scale_0, zero, six)
        pool2d_0 = GlobalAveragePool (relu6_0)
        flat_shape = Constant <value = int64[2] {-1, 4}> ()
        flatten_0 = Reshape (pool2d_0, flat_shape)
        linear = MatMul (flatten_0, linear_0_w_0)
        scores = Add (linear, linear_0_b_0)
        y = Softmax <axis = -1> (scores)
        """,
        conv2d_0_w_0=real(4, 3, 3, 3),
        **norm(4),
        linear_0_w_0=real(4, 5),
        linear_0_b_0=real(5),
    ),
    # Normalised images; pools and a Concat without a ReLU before them.
    "signed values": model(
        17,
        "?, 3, 8, 8",
        "?, 5",
        """
        centred = Sub (x, mean)
        normalised = Div (centred, deviation)
        largest = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (normalised)
        average = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (normalised)
        strided = Conv <strides = [2, 2]> (normalised, w)
        peaks = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (strided)
        all = Concat <axis = 1> (largest, average, peaks, strided)
        pooled = GlobalAveragePool (all)
        flat = Flatten (pooled)
        y = Gemm (flat, head, bias)
        """,
        mean=np.array([0.5, 0.4, 0.3], np.float32).reshape(1, 3, 1, 1),
        deviation=np.array([0.2, 0.3, 0.4], np.float32).reshape(1, 3, 1, 1),
        w=real(4, 3, 2, 2),
        head=real(14, 5),
        bias=real(5),
    ),
}
