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

#if NV_TENSORRT_MAJOR >= 10
#include "plugin_v3.h"
#else
#include "plugin_v2.h"
#endif

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
  const IDimensionExpr* declareSizeTensor(int32_t output, const IDimensionExpr& usual,
                                          const IDimensionExpr& worst) override {
    const int64_t likely = static_cast<const Number&>(usual).value();
    require(output == 2 && likely > 0 && likely < static_cast<const Number&>(worst).value(),
            "the size tensor");
    return &worst;
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
  std::vector<int32_t> cdf, length, offset, id, packed;
  std::vector<float> median;
  std::vector<PluginField> fields;
  PluginFieldCollection collection;

  explicit Fields(bool packs = false) {
    for (int t = 0; t < 4; ++t) {
      const int32_t row[] = {0, 700, 9000, 30000 + 500 * t, 58000, 65000, 65500, 65536};
      cdf.insert(cdf.end(), row, row + 8);
      length.push_back(8);
      offset.push_back(-3);
      median.push_back(0.125f * t);
    }
    id.push_back(0x04030201);
    packed.push_back(packs);
    fields.emplace_back("cdf", cdf.data(), PluginFieldType::kINT32, int32_t(cdf.size()));
    fields.emplace_back("cdf_length", length.data(), PluginFieldType::kINT32, 4);
    fields.emplace_back("offset", offset.data(), PluginFieldType::kINT32, 4);
    fields.emplace_back("medians", median.data(), PluginFieldType::kFLOAT32, 4);
    fields.emplace_back("tables_id", id.data(), PluginFieldType::kINT32, 1);
    fields.emplace_back("packed", packed.data(), PluginFieldType::kINT32, 1);
    collection.nbFields = int32_t(fields.size());
    collection.fields = fields.data();
  }
};

// A plugin as TensorRT drives it, by the interface of the version that the headers are of.
#if NV_TENSORRT_MAJOR >= 10
typedef splitwatt::RangeCreatorV3 Creator;
constexpr bool kCanPack = true;

class Driven {
 public:
  Driven(Creator& creator, const PluginFieldCollection* fields)
      : plugin_(creator.createPlugin("range", fields, TensorRTPhase::kBUILD)) {}

  // As an engine keeps it: cloned, its fields serialised, made again from them.
  void through_a_plan(Creator& creator) {
    require(plugin_ != nullptr, "createPlugin");
    if (!plugin_) exit(1);
    std::unique_ptr<IPluginV3> copy(plugin_->clone());
    require(!strcmp(core(*copy)->getPluginName(), creator.getPluginName()), "the name");
    require(!strcmp(core(*copy)->getPluginVersion(), "1"), "the version");
    plugin_.reset(creator.createPlugin("range", runtime(*copy)->getFieldsToSerialize(),
                                       TensorRTPhase::kRUNTIME));
    require(plugin_ != nullptr, "made again from its fields");
  }
  bool made() const { return plugin_ != nullptr; }
  int32_t outputs() { return build()->getNbOutputs(); }
  Shape shape(int32_t output, const DimsExprs* inputs, int32_t count, Builder& builder) {
    DimsExprs all[3];
    require(build()->getOutputShapes(inputs, count, nullptr, 0, all, outputs(), builder) == 0,
            "getOutputShapes");
    return values(all[output]);
  }
  bool takes(int32_t position, const std::vector<PluginTensorDesc>& tensors) {
    std::vector<DynamicPluginTensorDesc> given(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) given[i].desc = tensors[i];
    const int32_t inputs = int32_t(tensors.size()) - outputs();
    return build()->supportsFormatCombination(position, given.data(), inputs, outputs());
  }
  DataType type(int32_t output, const std::vector<DataType>& inputs) {
    DataType all[3];
    build()->getOutputDataTypes(all, outputs(), inputs.data(), int32_t(inputs.size()));
    return all[output];
  }
  size_t workspace(const PluginTensorDesc* inputs, int32_t count, const PluginTensorDesc*) {
    std::vector<DynamicPluginTensorDesc> given(count);
    for (int32_t i = 0; i < count; ++i) given[i].max = inputs[i].dims;
    return build()->getWorkspaceSize(given.data(), count, nullptr, outputs());
  }
  bool start() {
    plugin_.reset(runtime(*plugin_)->attachToContext(nullptr));
    return plugin_ != nullptr;
  }
  int run(const PluginTensorDesc* in, const PluginTensorDesc* out, const void* const* from,
          void* const* to, void* workspace) {
    return runtime(*plugin_)->enqueue(in, out, from, to, workspace, nullptr);
  }

 private:
  static IPluginV3OneCore* core(IPluginV3& plugin) {
    return static_cast<IPluginV3OneCore*>(
        plugin.getCapabilityInterface(PluginCapabilityType::kCORE));
  }
  static IPluginV3OneRuntime* runtime(IPluginV3& plugin) {
    return static_cast<IPluginV3OneRuntime*>(
        plugin.getCapabilityInterface(PluginCapabilityType::kRUNTIME));
  }
  IPluginV3OneBuild* build() {
    return static_cast<IPluginV3OneBuild*>(
        plugin_->getCapabilityInterface(PluginCapabilityType::kBUILD));
  }
  std::unique_ptr<IPluginV3> plugin_;
};
#else
typedef splitwatt::RangeCreatorV2 Creator;
constexpr bool kCanPack = false;

class Driven {
 public:
  Driven(Creator& creator, const PluginFieldCollection* fields)
      : plugin_(static_cast<IPluginV2DynamicExt*>(creator.createPlugin("range", fields))) {}

  // As an engine keeps it: cloned, serialised, read again.
  void through_a_plan(Creator& creator) {
    require(plugin_ != nullptr, "createPlugin");
    if (!plugin_) exit(1);
    plugin_->setPluginNamespace("");
    std::unique_ptr<IPluginV2DynamicExt, Destroy> copy(plugin_->clone());
    require(!strcmp(copy->getPluginType(), creator.getPluginName()), "the name");
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
    plugin_.reset(static_cast<IPluginV2DynamicExt*>(
        creator.deserializePlugin("range", bytes.data(), bytes.size())));
  }
  bool made() const { return plugin_ != nullptr; }
  int32_t outputs() { return plugin_->getNbOutputs(); }
  Shape shape(int32_t output, const DimsExprs* inputs, int32_t count, Builder& builder) {
    return values(plugin_->getOutputDimensions(output, inputs, count, builder));
  }
  bool takes(int32_t position, const std::vector<PluginTensorDesc>& tensors) {
    const int32_t inputs = int32_t(tensors.size()) - outputs();
    return plugin_->supportsFormatCombination(position, tensors.data(), inputs, outputs());
  }
  DataType type(int32_t output, const std::vector<DataType>& inputs) {
    return plugin_->getOutputDataType(output, inputs.data(), int32_t(inputs.size()));
  }
  size_t workspace(const PluginTensorDesc* inputs, int32_t count, const PluginTensorDesc* out) {
    return plugin_->getWorkspaceSize(inputs, count, out, outputs());
  }
  bool start() { return plugin_->initialize() == 0; }
  int run(const PluginTensorDesc* in, const PluginTensorDesc* out, const void* const* from,
          void* const* to, void* workspace) {
    return plugin_->enqueue(in, out, from, to, workspace, nullptr);
  }

 private:
  struct Destroy {
    void operator()(IPluginV2DynamicExt* plugin) const { plugin->destroy(); }
  };
  std::unique_ptr<IPluginV2DynamicExt, Destroy> plugin_;
};
#endif

void check_formats(Driven& plugin, const std::vector<DataType>& types) {
  std::vector<PluginTensorDesc> tensors;
  for (DataType type : types) tensors.push_back(description({1, 4, 3, 3}, type));
  const size_t inputs = types.size() - size_t(plugin.outputs());
  const std::vector<DataType> given(types.begin(), types.begin() + inputs);
  for (int32_t i = 0; i < int32_t(types.size()); ++i) {
    require(plugin.takes(i, tensors), "a format");
    const PluginTensorDesc other = tensors[i];
    tensors[i].type = DataType::kHALF;
    require(!plugin.takes(i, tensors), "half");
    tensors[i] = other;
    tensors[i].format = TensorFormat::kCHW4;
    require(!plugin.takes(i, tensors), "CHW4");
    tensors[i] = other;
  }
  for (int32_t i = 0; i < plugin.outputs(); ++i) {
    require(plugin.type(i, given) == types[inputs + i], "a type");
  }
}

void bad_fields(Creator& creator) {
  for (int drop = 0; drop < 5; ++drop) {
    Fields f;
    f.fields.erase(f.fields.begin() + drop);
    f.collection.nbFields = 5;
    require(!Driven(creator, &f.collection).made(), "a missing field");
  }
  Fields f;
  f.cdf[3] = f.cdf[2];
  require(!Driven(creator, &f.collection).made(), "fields that make no tables");
  require(!Driven(creator, nullptr).made(), "no fields");
}

void check(bool packs) {
  const Fields fields(packs);
  Creator encode_creator(false), decode_creator(true);
  require(!strcmp(encode_creator.getPluginName(), "SplitRangeEncode"), "the encoder's name");
  require(!strcmp(decode_creator.getPluginName(), "SplitRangeDecode"), "the decoder's name");
  require(encode_creator.getFieldNames()->nbFields == 6, "the fields' names");
  bad_fields(encode_creator);
  bad_fields(decode_creator);
  Driven encoder(encode_creator, &fields.collection), decoder(decode_creator, &fields.collection);
  encoder.through_a_plan(encode_creator);
  decoder.through_a_plan(decode_creator);
  std::vector<DataType> types = {DataType::kFLOAT, DataType::kINT32, DataType::kINT32};
  if (packs) types.push_back(DataType::kINT32);
  check_formats(encoder, types);
  check_formats(decoder, {DataType::kINT32, DataType::kINT32, DataType::kFLOAT, DataType::kFLOAT,
                          DataType::kINT32});

  Builder builder;
  const int64_t height = 50, width = 45;
  const DimsExprs latent_dims = expressions(builder, {3, 4, height, width});
  const Shape worst = encoder.shape(0, &latent_dims, 1, builder);
  const Shape length = encoder.shape(1, &latent_dims, 1, builder);
  require(worst.size() == 2 && worst[0] == 3, "the words' shape");
  require(worst[1] * 4 == int64_t(sw_cuda_capacity(4, height, width)), "the worst case");
  require(length == Shape{3}, "the lengths' shape");
  require(!packs || encoder.shape(2, &latent_dims, 1, builder).empty(), "a size is a number");
  const DimsExprs decoder_inputs[3] = {expressions(builder, worst), expressions(builder, length),
                                       expressions(builder, {1, 1, height, width})};
  require(decoder.shape(0, decoder_inputs, 3, builder) == Shape({3, 4, height, width}),
          "the latent's shape");
  require(decoder.shape(1, decoder_inputs, 3, builder) == Shape{3}, "the statuses' shape");

  // Three items: a usual one, one of escapes, one with NaN.
  const size_t size = size_t(4 * height * width);
  std::vector<float> latent(3 * size), decoded(3 * size), like(height * width);
  for (size_t i = 0; i < latent.size(); ++i) latent[i] = float(i * 2654435761u % 700) / 200 - 1.5f;
  for (size_t i = size; i < 2 * size; i += 50) latent[i] *= 1000;
  latent[2 * size + 77] = std::numeric_limits<float>::quiet_NaN();
  std::vector<int32_t> strings(3 * worst[1], -1), lengths(3), statuses(3);
  int32_t words_count = -1;
  const PluginTensorDesc in = description({3, 4, height, width}, DataType::kFLOAT);
  const PluginTensorDesc out[2] = {description(worst, DataType::kINT32),
                                   description(length, DataType::kINT32)};
  std::vector<uint8_t> workspace(encoder.workspace(&in, 1, out));
  if (!kCanPack) {
    const Fields asking(true);
    Driven other(encode_creator, &asking.collection);
    require(other.workspace(&in, 1, out) == workspace.size(), "IPluginV2 does not pack");
  }
  const void* from[1] = {latent.data()};
  void* to[3] = {strings.data(), lengths.data(), &words_count};
  require(encoder.run(&in, out, from, to, workspace.data()) != 0, "tables that are not on the GPU");
  require(encoder.start(), "the tables' upload");
  require(encoder.run(&in, out, from, to, workspace.data()) == 0, "enqueue");
  require(lengths[0] > 0 && lengths[1] > lengths[0] && lengths[2] == -1, "the lengths");
  // A row is the worst case, or what the longest string needs.
  const int64_t words = packs ? words_count : worst[1];
  if (packs) {
    require(words == (lengths[1] + 3) / 4 && words < worst[1], "the words of a row");
    for (size_t i = size_t(3 * words); i < strings.size(); ++i) {
      require(strings[i] == -1, "nothing is written behind the rows");
    }
    const uint8_t* row = reinterpret_cast<const uint8_t*>(strings.data());
    for (int64_t i = lengths[0]; i < 4 * words; ++i) require(row[i] == 0, "zeros behind a string");
  }
  const Shape shape = {3, words};
  sw_tables* tables;
  const uint8_t id[4] = {1, 2, 3, 4};
  if (sw_tables_new(fields.cdf.data(), 4, 8, fields.length.data(), fields.offset.data(),
                    fields.median.data(), id, &tables)) {
    exit(2);
  }
  for (int item = 0; item < 2; ++item) {
    const uint8_t* wanted;
    size_t count;
    sw_encode(tables, SW_AUTO, latent.data() + item * size, nullptr, 4, height, width, &wanted,
              &count);
    require(count == size_t(lengths[item]) && !memcmp(wanted, strings.data() + item * words, count),
            "the bytes");
  }

  reinterpret_cast<uint8_t*>(strings.data() + words)[100] ^= 4;
  const PluginTensorDesc inputs[3] = {description(shape, DataType::kINT32), out[1],
                                      description({1, 1, height, width}, DataType::kFLOAT)};
  const PluginTensorDesc outputs[2] = {in, out[1]};
  const void* read[3] = {strings.data(), lengths.data(), like.data()};
  void* write[2] = {decoded.data(), statuses.data()};
  workspace.resize(decoder.workspace(inputs, 3, outputs));
  require(decoder.start(), "the tables' upload");
  require(decoder.run(inputs, outputs, read, write, workspace.data()) == 0, "enqueue");
  require(statuses[0] == SW_OK, "a whole string");
  require(statuses[1] == SW_DAMAGED, "a damaged string");
  require(statuses[2] == SW_TRUNCATED, "a length of -1");
  std::vector<float> wanted(size);
  sw_decode(tables, SW_AUTO, reinterpret_cast<const uint8_t*>(strings.data()), size_t(lengths[0]),
            nullptr, 4, height, width, wanted.data());
  require(!memcmp(wanted.data(), decoded.data(), 4 * size), "the decoded latent");
  sw_tables_free(tables);
}

}  // namespace

int main() {
  check(false);
  if (kCanPack) check(true);
  printf("TensorRT %d.%d headers: %d failures\n", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, failures);
  return failures != 0;
}
