// Drives the TensorRT plugins as TensorRT does, without TensorRT: creators, shapes, formats,
// serialisation, and enqueue with the kernels run on a processor.
#include <NvInfer.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <limits>
#include <memory>
#include <vector>

#include "split_range_plugin.h"

using namespace nvinfer1;

namespace {

int failures = 0;

void require(bool condition, const char* what) {
  if (condition) return;
  printf("FAILED: %s\n", what);
  ++failures;
}

// Expressions of dimensions that are computed at once.
class Number : public IDimensionExpr, private apiv::VDimensionExpr {
 public:
  explicit Number(int64_t value) : value_(value) { mImpl = this; }
  ~Number() noexcept override {}
  int64_t value() const { return value_; }

 private:
  bool isConstant() const override { return true; }
#if NV_TENSORRT_MAJOR >= 10
  int64_t getConstantValue() const override { return value_; }
  bool isSizeTensor() const override { return false; }
#else
  int32_t getConstantValue() const override { return int32_t(value_); }
#endif
  int64_t value_;
};

class Builder : public IExprBuilder, private apiv::VExprBuilder {
 public:
  Builder() { mImpl = this; }
  ~Builder() noexcept override {}
  const IDimensionExpr* number(int64_t value) {
    numbers_.emplace_back(new Number(value));
    return numbers_.back().get();
  }

 private:
#if NV_TENSORRT_MAJOR >= 10
  const IDimensionExpr* constant(int64_t value) override { return number(value); }
  const IDimensionExpr* declareSizeTensor(int32_t, const IDimensionExpr&,
                                          const IDimensionExpr&) override {
    return nullptr;
  }
#else
  const IDimensionExpr* constant(int32_t value) override { return number(value); }
#endif
  const IDimensionExpr* operation(DimensionOperation what, const IDimensionExpr& first,
                                  const IDimensionExpr& second) override {
    const int64_t a = static_cast<const Number&>(first).value();
    const int64_t b = static_cast<const Number&>(second).value();
    switch (what) {
      case DimensionOperation::kSUM: return number(a + b);
      case DimensionOperation::kPROD: return number(a * b);
      case DimensionOperation::kFLOOR_DIV: return number(a / b);
      default: abort();
    }
  }
  std::vector<std::unique_ptr<Number>> numbers_;
};

typedef std::vector<int64_t> Shape;

DimsExprs expressions(Builder& builder, const Shape& shape) {
  DimsExprs dims;
  dims.nbDims = int32_t(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) dims.d[i] = builder.number(shape[i]);
  return dims;
}

Shape values(const DimsExprs& dims) {
  Shape shape;
  for (int32_t i = 0; i < dims.nbDims; ++i) {
    shape.push_back(static_cast<const Number*>(dims.d[i])->value());
  }
  return shape;
}

PluginTensorDesc description(const Shape& shape, DataType type) {
  PluginTensorDesc result;
  memset(static_cast<void*>(&result), 0, sizeof(result));
  result.dims.nbDims = int32_t(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    result.dims.d[i] = decltype(result.dims.d[0] + 0)(shape[i]);
  }
  result.type = type;
  result.format = TensorFormat::kLINEAR;
  return result;
}

// Tables of 4 channels, and the fields that carry them.
struct Fields {
  std::vector<int32_t> cdf, length, offset, id;
  std::vector<float> median;
  std::vector<PluginField> fields;
  PluginFieldCollection collection;

  Fields() {
    for (int t = 0; t < 4; ++t) {
      const int32_t row[] = {0, 700, 9000, 30000 + 500 * t, 58000, 65000, 65500, 65536};
      cdf.insert(cdf.end(), row, row + 8);
      length.push_back(8);
      offset.push_back(-3);
      median.push_back(0.125f * t);
    }
    id.push_back(0x04030201);
    fields.emplace_back("cdf", cdf.data(), PluginFieldType::kINT32, int32_t(cdf.size()));
    fields.emplace_back("cdf_length", length.data(), PluginFieldType::kINT32, 4);
    fields.emplace_back("offset", offset.data(), PluginFieldType::kINT32, 4);
    fields.emplace_back("medians", median.data(), PluginFieldType::kFLOAT32, 4);
    fields.emplace_back("tables_id", id.data(), PluginFieldType::kINT32, 1);
    collection.nbFields = int32_t(fields.size());
    collection.fields = fields.data();
  }
};

struct Destroy {
  void operator()(IPluginV2* plugin) const { plugin->destroy(); }
};
typedef std::unique_ptr<IPluginV2DynamicExt, Destroy> Plugin;

// As a network keeps a plugin: created, cloned, serialised, read again.
Plugin through_a_plan(IPluginCreator& creator, const PluginFieldCollection* collection) {
  Plugin made(static_cast<IPluginV2DynamicExt*>(creator.createPlugin("range", collection)));
  require(made != nullptr, "createPlugin");
  if (!made) exit(1);
  made->setPluginNamespace("");
  Plugin copy(made->clone());
  made.reset();
  require(!strcmp(copy->getPluginType(), creator.getPluginName()), "the type's name");
  require(!strcmp(copy->getPluginVersion(), "1"), "the version");
  std::vector<uint8_t> bytes(copy->getSerializationSize() + 4, 0xEE);
  copy->serialize(bytes.data());
  require(bytes[bytes.size() - 4] == 0xEE, "serialize keeps to its size");
  bytes.resize(bytes.size() - 4);
  for (size_t size : {size_t(0), size_t(3), size_t(40), bytes.size() - 1}) {
    require(!creator.deserializePlugin("range", bytes.data(), size), "a truncated plan");
  }
  std::vector<uint8_t> bent(bytes);
  bent[4] ^= 0x40;
  require(!creator.deserializePlugin("range", bent.data(), bent.size()), "a bent plan");
  return Plugin(static_cast<IPluginV2DynamicExt*>(
      creator.deserializePlugin("range", bytes.data(), bytes.size())));
}

void check_formats(Plugin& plugin, const std::vector<DataType>& types) {
  std::vector<PluginTensorDesc> tensors;
  for (DataType type : types) tensors.push_back(description({1, 4, 3, 3}, type));
  const int32_t outputs = plugin->getNbOutputs(), inputs = int32_t(types.size()) - outputs;
  for (int32_t i = 0; i < int32_t(types.size()); ++i) {
    require(plugin->supportsFormatCombination(i, tensors.data(), inputs, outputs), "a format");
    PluginTensorDesc other = tensors[i];
    tensors[i].type = DataType::kHALF;
    require(!plugin->supportsFormatCombination(i, tensors.data(), inputs, outputs), "half");
    tensors[i] = other;
    tensors[i].format = TensorFormat::kCHW4;
    require(!plugin->supportsFormatCombination(i, tensors.data(), inputs, outputs), "CHW4");
    tensors[i] = other;
  }
  for (int32_t i = 0; i < outputs; ++i) {
    require(plugin->getOutputDataType(i, types.data(), inputs) == types[inputs + i], "a type");
  }
}

void bad_fields(IPluginCreator& creator) {
  for (int drop = 0; drop < 5; ++drop) {
    Fields f;
    f.fields.erase(f.fields.begin() + drop);
    f.collection.nbFields = 4;
    require(!creator.createPlugin("range", &f.collection), "a missing field");
  }
  Fields f;
  f.cdf[3] = f.cdf[2];
  require(!creator.createPlugin("range", &f.collection), "unsound tables");
  require(!creator.createPlugin("range", nullptr), "no fields");
}

}  // namespace

int main() {
  const Fields fields;
  splitwatt::SplitRangeEncodeCreator encode_creator;
  splitwatt::SplitRangeDecodeCreator decode_creator;
  require(!strcmp(encode_creator.getPluginName(), "SplitRangeEncode"), "the encoder's name");
  require(!strcmp(decode_creator.getPluginName(), "SplitRangeDecode"), "the decoder's name");
  require(encode_creator.getFieldNames()->nbFields == 5, "the fields' names");
  bad_fields(encode_creator);
  bad_fields(decode_creator);
  Plugin encoder = through_a_plan(encode_creator, &fields.collection);
  Plugin decoder = through_a_plan(decode_creator, &fields.collection);
  check_formats(encoder, {DataType::kFLOAT, DataType::kINT32, DataType::kINT32});
  check_formats(decoder, {DataType::kINT32, DataType::kINT32, DataType::kFLOAT, DataType::kFLOAT,
                          DataType::kINT32});

  Builder builder;
  const int64_t height = 50, width = 45;
  const DimsExprs latent_dims = expressions(builder, {3, 4, height, width});
  const Shape words = values(encoder->getOutputDimensions(0, &latent_dims, 1, builder));
  const Shape length = values(encoder->getOutputDimensions(1, &latent_dims, 1, builder));
  require(words.size() == 2 && words[0] == 3, "the words' shape");
  require(words[1] * 4 == int64_t(sw_cuda_capacity(4, height, width)), "the worst case");
  require(length == Shape{3}, "the lengths' shape");
  const DimsExprs decoder_inputs[3] = {expressions(builder, words), expressions(builder, length),
                                       expressions(builder, {1, 1, height, width})};
  require(values(decoder->getOutputDimensions(0, decoder_inputs, 3, builder)) ==
              Shape({3, 4, height, width}), "the latent's shape");
  require(values(decoder->getOutputDimensions(1, decoder_inputs, 3, builder)) == Shape{3},
          "the statuses' shape");

  // Three items: a sound one, one of escapes, one with NaN.
  const size_t size = size_t(4 * height * width);
  std::vector<float> latent(3 * size), decoded(3 * size), like(height * width);
  for (size_t i = 0; i < latent.size(); ++i) latent[i] = float(i * 2654435761u % 700) / 200 - 1.5f;
  for (size_t i = size; i < 2 * size; i += 50) latent[i] *= 1000;
  latent[2 * size + 77] = std::numeric_limits<float>::quiet_NaN();
  std::vector<int32_t> strings(3 * words[1]), lengths(3), statuses(3);
  const PluginTensorDesc in = description({3, 4, height, width}, DataType::kFLOAT);
  const PluginTensorDesc out[2] = {description(words, DataType::kINT32),
                                   description(length, DataType::kINT32)};
  std::vector<uint8_t> workspace(encoder->getWorkspaceSize(&in, 1, out, 2));
  const void* from[1] = {latent.data()};
  void* to[2] = {strings.data(), lengths.data()};
  require(encoder->enqueue(&in, out, from, to, workspace.data(), nullptr) != 0, "not initialised");
  require(encoder->initialize() == 0, "initialize");
  require(encoder->enqueue(&in, out, from, to, workspace.data(), nullptr) == 0, "enqueue");
  require(lengths[0] > 0 && lengths[1] > lengths[0] && lengths[2] == -1, "the lengths");
  sw_tables* tables;
  const uint8_t id[4] = {1, 2, 3, 4};
  if (sw_tables_new(fields.cdf.data(), 4, 8, fields.length.data(), fields.offset.data(),
                    fields.median.data(), id, &tables)) {
    return 2;
  }
  for (int item = 0; item < 2; ++item) {
    const uint8_t* wanted;
    size_t count;
    sw_encode(tables, SW_AUTO, latent.data() + item * size, nullptr, 4, height, width, &wanted,
              &count);
    require(count == size_t(lengths[item]) &&
                !memcmp(wanted, strings.data() + item * words[1], count), "the bytes");
  }

  reinterpret_cast<uint8_t*>(strings.data() + words[1])[100] ^= 4;
  const PluginTensorDesc inputs[3] = {out[0], out[1],
                                      description({1, 1, height, width}, DataType::kFLOAT)};
  const PluginTensorDesc outputs[2] = {in, out[1]};
  const void* read[3] = {strings.data(), lengths.data(), like.data()};
  void* write[2] = {decoded.data(), statuses.data()};
  workspace.resize(decoder->getWorkspaceSize(inputs, 3, outputs, 2));
  require(decoder->initialize() == 0, "initialize");
  const int said = decoder->enqueue(inputs, outputs, read, write, workspace.data(), nullptr);
  require(said == 0, "enqueue");
  require(statuses[0] == SW_OK, "a sound string");
  require(statuses[1] == SW_DAMAGED, "a damaged string");
  require(statuses[2] == SW_TRUNCATED, "a length of -1");
  std::vector<float> wanted(size);
  sw_decode(tables, SW_AUTO, reinterpret_cast<const uint8_t*>(strings.data()), size_t(lengths[0]),
            nullptr, 4, height, width, wanted.data());
  require(!memcmp(wanted.data(), decoded.data(), 4 * size), "the decoded latent");
  sw_tables_free(tables);
  encoder->terminate();
  printf("TensorRT %d.%d headers: %d failures\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, failures);
  return failures != 0;
}
