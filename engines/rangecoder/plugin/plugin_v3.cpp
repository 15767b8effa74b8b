#include <NvInferVersion.h>

#if NV_TENSORRT_MAJOR >= 10

#include "plugin_v3.h"

#include <new>

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::IPluginV3;
using nvinfer1::PluginCapabilityType;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;

namespace splitwatt {
namespace {

// The packing encoder's output that is a size tensor, and how much longer than a usual row the worst case is.
constexpr int32_t kWordsCount = 2, kWorstOverUsual = 4;

}  // namespace

RangePluginV3::RangePluginV3(const RangeNode& node) : node_(node) {
  const TableFields& fields = node_.fields();
  const auto whole = [&](const char* name, const std::vector<int32_t>& values) {
    serialized_.emplace_back(name, values.data(), PluginFieldType::kINT32, int32_t(values.size()));
  };
  whole("cdf", fields.cdf);
  whole("cdf_length", fields.length);
  whole("offset", fields.offset);
  serialized_.emplace_back("medians", fields.median.data(), PluginFieldType::kFLOAT32,
                           int32_t(fields.median.size()));
  serialized_.emplace_back("tables_id", &fields.id, PluginFieldType::kINT32, 1);
  serialized_.emplace_back("packed", &fields.packed, PluginFieldType::kINT32, 1);
  collection_.nbFields = int32_t(serialized_.size());
  collection_.fields = serialized_.data();
}

nvinfer1::IPluginCapability* RangePluginV3::getCapabilityInterface(
    PluginCapabilityType type) noexcept {
  switch (type) {
    case PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    default: return nullptr;
  }
}

IPluginV3* RangePluginV3::clone() noexcept {
  try {
    return new RangePluginV3(node_);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

const char* RangePluginV3::getPluginName() const noexcept { return node_.name(); }
const char* RangePluginV3::getPluginVersion() const noexcept { return RangeNode::version(); }
const char* RangePluginV3::getPluginNamespace() const noexcept { return ""; }

int32_t RangePluginV3::configurePlugin(const DynamicPluginTensorDesc*, int32_t,
                                       const DynamicPluginTensorDesc*, int32_t) noexcept {
  return 0;
}

int32_t RangePluginV3::getOutputDataTypes(DataType* types, int32_t count, const DataType*,
                                          int32_t) const noexcept {
  for (int32_t i = 0; i < count; ++i) types[i] = node_.output_type(i);
  return 0;
}

int32_t RangePluginV3::getOutputShapes(const DimsExprs* inputs, int32_t, const DimsExprs*, int32_t,
                                       DimsExprs* outputs, int32_t,
                                       nvinfer1::IExprBuilder& builder) noexcept {
  for (int32_t i = 0; i < 2; ++i) outputs[i] = node_.output_shape(i, inputs, builder);
  if (!node_.packs()) return 0;
  const nvinfer1::IDimensionExpr& worst = *outputs[0].d[1];
  const auto* usual = builder.operation(DimensionOperation::kFLOOR_DIV, worst,
                                        *builder.constant(kWorstOverUsual));
  outputs[0].d[1] = builder.declareSizeTensor(kWordsCount, *usual, worst);
  outputs[kWordsCount].nbDims = 0;
  return 0;
}

bool RangePluginV3::supportsFormatCombination(int32_t position,
                                              const DynamicPluginTensorDesc* tensors,
                                              int32_t input_count, int32_t output_count) noexcept {
  return position < input_count + output_count && node_.takes(position, tensors[position].desc);
}

int32_t RangePluginV3::getNbOutputs() const noexcept { return node_.packs() ? 3 : 2; }

size_t RangePluginV3::getWorkspaceSize(const DynamicPluginTensorDesc* inputs, int32_t,
                                       const DynamicPluginTensorDesc*, int32_t) const noexcept {
  // The largest latent of the profile needs most.
  const nvinfer1::Dims& most = inputs[0].max;
  if (node_.decodes()) return node_.decode_scratch(most);
  return node_.packs() ? node_.packed_scratch(most) : node_.encode_scratch(most);
}

int32_t RangePluginV3::onShapeChange(const PluginTensorDesc*, int32_t, const PluginTensorDesc*,
                                     int32_t) noexcept {
  return 0;
}

int32_t RangePluginV3::enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept {
  if (node_.decodes()) {
    return node_.decode(in[0].dims, out[0].dims, inputs, outputs, workspace, stream);
  }
  if (node_.packs()) {
    return node_.encode_packed(in[0].dims, inputs[0], outputs[0], outputs[1], outputs[kWordsCount],
                               workspace, stream);
  }
  return node_.encode(in[0].dims, inputs[0], size_t(out[0].dims.d[1]) * 4, outputs[0], outputs[1],
                      workspace, stream);
}

IPluginV3* RangePluginV3::attachToContext(nvinfer1::IPluginResourceContext*) noexcept {
  RangePluginV3* copy = static_cast<RangePluginV3*>(clone());
  if (copy && !copy->node_.upload()) {
    delete copy;
    return nullptr;
  }
  return copy;
}

const PluginFieldCollection* RangePluginV3::getFieldsToSerialize() noexcept {
  return &collection_;
}

IPluginV3* RangeCreatorV3::createPlugin(const char*, const PluginFieldCollection* collection,
                                        nvinfer1::TensorRTPhase) noexcept {
  try {
    const TableFields fields(collection);
    const std::shared_ptr<sw_tables> tables = fields.build();
    return tables ? new RangePluginV3(RangeNode(decodes_, fields, tables)) : nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

const PluginFieldCollection* RangeCreatorV3::getFieldNames() noexcept {
  return names_.collection();
}
const char* RangeCreatorV3::getPluginName() const noexcept { return RangeNode::name_of(decodes_); }
const char* RangeCreatorV3::getPluginVersion() const noexcept { return RangeNode::version(); }
const char* RangeCreatorV3::getPluginNamespace() const noexcept { return ""; }

// The registry loads the library and asks it for its creators.
#if !defined(SW_NO_REGISTRATION)
extern "C" SW_API void setLoggerFinder(nvinfer1::ILoggerFinder*) {}

extern "C" SW_API nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static RangeCreatorV3 encode(false), decode(true);
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&encode, &decode};
  count = 2;
  return creators;
}
#endif

}  // namespace splitwatt

#endif
