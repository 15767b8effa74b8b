"""What onnx-tensorrt's own page (docs/operators.md) says at four tags, copied out by types.

Written apart from the tables that are tested with it. A line is: types, a colon, operators.
"""

# fmt: off
LISTS = {
    "8.2": """
FP32 FP16: Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh
    CumSum Dropout Einsum Erf Exp Floor GRU ImageScaler InstanceNormalization Log LogSoftmax LRN
    LSTM LpNormalization MatMul NonMaxSuppression Pow QuantizeLinear RandomUniform
    RandomUniformLike ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Resize ReverseSequence RNN Scan Sin Sinh
    Softmax Sqrt Tan TopK Upsample
FP32 FP16 INT8: Clip Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    HardSigmoid LeakyRelu LpPool MaxPool ParametricSoftplus PRelu Relu Round ScaledTanh Selu
    Sigmoid Softplus Softsign Tanh ThresholdedRelu
FP32 FP16 INT32: Abs Add DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual
    Max Mean Min Mul Neg Range SpaceToDepth Sub Sum
FP32 FP16 INT32 INT8 BOOL: Cast Concat Constant Identity Reshape Shape Size Slice Squeeze
    Transpose Unsqueeze
FP32 FP16 INT8 INT32: AveragePool Gather GatherElements GatherND Pad Scatter ScatterElements
    ScatterND Sign
FP32 FP16 INT32 BOOL: Expand EyeLike Flatten If Loop Split Tile Where
BOOL: And Not Or
FP32: ConstantOfShape
INT8: DequantizeLinear
unsupported: BitShift Compress ConcatFromSequence ConvInteger Det DynamicQuantizeLinear Hardmax
    IsInf MatMulInteger MaxRoiPool MaxUnpool MeanVarianceNormalization Mod Multinomial
    NegativeLogLikelihoodLoss NonZero OneHot QLinearConv QLinearMatMul RandomNormal
    RandomNormalLike Reciprocal RoiAlign SequenceAt SequenceConstruct SequenceEmpty
    SequenceErase SequenceInsert SequenceLength Shrink SoftmaxCrossEntropyLoss SplitToSequence
    StringNormalizer TfIdfVectorizer Unique Xor
""",
    "8.5": """
FP32 FP16: Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh
    CumSum Dropout Einsum Erf Exp Floor GridSample GRU ImageScaler InstanceNormalization Log
    LogSoftmax LRN LSTM LpNormalization MatMul MeanVarianceNormalization NonMaxSuppression
    NonZero Pow QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Resize ReverseSequence RNN RoiAlign Scan Sin Sinh
    Softmax Sqrt Tan TopK Upsample
FP32 FP16 INT8: Clip Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    HardSigmoid LeakyRelu LpPool MaxPool ParametricSoftplus PRelu Relu Round ScaledTanh Selu
    Sigmoid Softplus Softsign Tanh ThresholdedRelu
FP32 FP16 INT32: Abs Add DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less LessOrEqual
    Max Mean Min Mul Neg Range Shrink SpaceToDepth Sub Sum
FP32 FP16 INT32 INT8 BOOL: Cast Concat Constant Identity Reshape Shape Size Slice Squeeze
    Transpose Trilu Unsqueeze
FP32 FP16 INT32 BOOL: Expand EyeLike Flatten If Loop Split Tile Where
FP32 FP16 INT8 INT32: AveragePool Pad Scatter ScatterElements ScatterND Sign
BOOL: And Not Or Xor
FP32 FP16 INT8 INT32 BOOL: Gather GatherElements GatherND
FP32: ConstantOfShape
INT8: DequantizeLinear
unsupported: Bernoulli BitShift BlackmanWindow Compress ConcatFromSequence ConvInteger DFT Det
    DynamicQuantizeLinear HammingWindow HannWindow HardSwish Hardmax IsInf LayerNormalization
    MatMulInteger MaxRoiPool MaxUnpool MelWeightMatrix Mod Multinomial NegativeLogLikelihoodLoss
    OneHot Optional OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul STFT
    SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
    SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringNormalizer TfIdfVectorizer Unique
""",
    "8.6": """
FP32 FP16: Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Cos Cosh CumSum Dropout
    Einsum Erf Exp Floor GridSample GroupNormalization GRU ImageScaler InstanceNormalization
    IsInf LayerNormalization Log LogSoftmax LRN LSTM LpNormalization MatMul
    MeanVarianceNormalization NonMaxSuppression NonZero Pow QuantizeLinear RandomNormal
    RandomNormalLike RandomUniform RandomUniformLike Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Resize
    RNN RoiAlign Scan Sin Sinh Softmax Sqrt Tan Upsample
FP32 FP16 INT32: Abs Add ArgMax ArgMin DepthToSpace Div Equal Greater GreaterOrEqual IsNaN Less
    LessOrEqual Max Mean Min Mod Mul Neg Range Shrink SpaceToDepth Sub Sum TopK
FP32 FP16 INT8: Clip Conv ConvTranspose Elu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    HardSwish HardSigmoid LeakyRelu LpPool MaxPool ParametricSoftplus PRelu Relu Round
    ScaledTanh Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu
FP32 FP16 INT32 INT8 BOOL: Concat Constant Identity Reshape ReverseSequence Shape Size Slice
    Squeeze Transpose Trilu Unsqueeze
FP32 FP16 INT32 BOOL: Expand EyeLike Flatten If Loop OneHot Split Tile Where
FP32 FP16 INT8 INT32: AveragePool Pad Scatter ScatterElements ScatterND Sign
BOOL: And Not Or Xor
FP32 FP16 INT8 INT32 BOOL: Gather GatherElements GatherND
FP32 FP16 INT32 INT8 UINT8 BOOL: Cast
FP32: ConstantOfShape
INT8: DequantizeLinear
unsupported: Bernoulli BitShift BlackmanWindow Compress ConcatFromSequence ConvInteger DFT Det
    DynamicQuantizeLinear HammingWindow HannWindow Hardmax MatMulInteger MaxRoiPool MaxUnpool
    MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement
    OptionalHasElement QLinearConv QLinearMatMul STFT SequenceAt SequenceConstruct SequenceEmpty
    SequenceErase SequenceInsert SequenceLength SequenceMap SoftmaxCrossEntropyLoss
    SplitToSequence StringNormalizer TfIdfVectorizer Unique
""",
    "10.1": """
FP32 FP16 BF16: Acos Acosh Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip
    Conv ConvTranspose Cos Cosh CumSum Dropout Einsum Elu Erf Exp Floor Gemm GlobalAveragePool
    GlobalLpPool GlobalMaxPool GroupNormalization GRU HardSigmoid HardSwish Hardmax ImageScaler
    InstanceNormalization IsInf LayerNormalization LeakyRelu Log LogSoftmax LRN LSTM
    LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization ParametricSoftplus Pow PRelu
    QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal
    Resize RNN Round ScaledTanh Scan Selu Sigmoid Sin Sinh Softmax Softplus Softsign Sqrt Tan
    Tanh ThresholdedRelu Upsample
FP32 FP16 BF16 INT32 INT64: Abs Add ArgMax ArgMin DepthToSpace Div Equal Greater GreaterOrEqual
    IsNaN Less LessOrEqual Max Min Mod Mul Neg Pad Range ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
    Scatter ScatterElements ScatterND Shrink Sign SpaceToDepth Sub Sum TopK
FP32 FP16 BF16 INT32 INT64 BOOL: Concat Constant ConstantOfShape Expand EyeLike Flatten Gather
    GatherElements GatherND Identity If Loop OneHot Reshape ReverseSequence Shape Size Slice
    Split Squeeze Tile Transpose Trilu Unsqueeze Where
FP32 FP16: DeformConv GridSample Mish NonMaxSuppression NonZero RoiAlign
BOOL: And Not Or Xor
FP32 FP16 BF16 INT32 INT64 UINT8 BOOL: Cast CastLike
INT8 FP8 INT4: DequantizeLinear
FP32 FP16 BF16 INT8 INT32 INT64: Gelu
FP32 FP16 BF16 FP8 INT32 INT64: Mean
unsupported: AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    BlackmanWindow Col2Im CenterCropPad Compress ConcatFromSequence ConvInteger DFT Det
    DynamicQuantizeLinear HammingWindow HannWindow ImageDecoder MatMulInteger MaxRoiPool
    MaxUnpool MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement
    OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch STFT SequenceAt
    SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap
    SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit
    TfIdfVectorizer Unique
""",
}
