#include "split_range_v3.h"

#if NV_TENSORRT_MAJOR >= 10

#include <new>

using nvinfer1::DataType;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::IPluginV3;
using nvinfer1::PluginCapabilityType;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;

namespace splitwatt {
namespace {

// The most tensors that a plugin has: three inputs and two outputs.
constexpr int32_t kTensors = 5;

}  // namespace

SplitRangeV3::SplitRangeV3(bool decodes, const TableFields& fields,
                           std::shared_ptr<sw_tables> tables)
    : decodes_(decodes), fields_(fields), tables_(tables), inner_(decodes, fields, tables) {
  const auto whole = [&](const char* name, const std::vector<int32_t>& values) {
    serialized_.emplace_back(name, values.data(), PluginFieldType::kINT32, int32_t(values.size()));
  };
  whole("cdf", fields_.cdf);
  whole("cdf_length", fields_.length);
  whole("offset", fields_.offset);
  serialized_.emplace_back("medians", fields_.median.data(), PluginFieldType::kFLOAT32,
                           int32_t(fields_.median.size()));
  serialized_.emplace_back("tables_id", &fields_.id, PluginFieldType::kINT32, 1);
  collection_.nbFields = int32_t(serialized_.size());
  collection_.fields = serialized_.data();
}

nvinfer1::IPluginCapability* SplitRangeV3::getCapabilityInterface(
    PluginCapabilityType type) noexcept {
  switch (type) {
    case PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    default: return nullptr;
  }
}

IPluginV3* SplitRangeV3::clone() noexcept {
  try {
    return new SplitRangeV3(decodes_, fields_, tables_);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

const char* SplitRangeV3::getPluginName() const noexcept { return inner_.getPluginType(); }
const char* SplitRangeV3::getPluginVersion() const noexcept { return inner_.getPluginVersion(); }
const char* SplitRangeV3::getPluginNamespace() const noexcept { return ""; }

int32_t SplitRangeV3::configurePlugin(const DynamicPluginTensorDesc*, int32_t,
                                      const DynamicPluginTensorDesc*, int32_t) noexcept {
  return 0;
}

int32_t SplitRangeV3::getOutputDataTypes(DataType* types, int32_t count,
                                         const DataType* input_types,
                                         int32_t input_count) const noexcept {
  for (int32_t i = 0; i < count; ++i) {
    types[i] = inner_.getOutputDataType(i, input_types, input_count);
  }
  return 0;
}

int32_t SplitRangeV3::getOutputShapes(const DimsExprs* inputs, int32_t input_count,
                                      const DimsExprs*, int32_t, DimsExprs* outputs,
                                      int32_t output_count,
                                      nvinfer1::IExprBuilder& builder) noexcept {
  for (int32_t i = 0; i < output_count; ++i) {
    outputs[i] = inner_.getOutputDimensions(i, inputs, input_count, builder);
  }
  return 0;
}

bool SplitRangeV3::supportsFormatCombination(int32_t position,
                                             const DynamicPluginTensorDesc* tensors,
                                             int32_t input_count, int32_t output_count) noexcept {
  PluginTensorDesc described[kTensors];
  if (position < 0 || position >= kTensors) return false;
  described[position] = tensors[position].desc;
  return inner_.supportsFormatCombination(position, described, input_count, output_count);
}

int32_t SplitRangeV3::getNbOutputs() const noexcept { return inner_.getNbOutputs(); }

size_t SplitRangeV3::getWorkspaceSize(const DynamicPluginTensorDesc* inputs, int32_t input_count,
                                      const DynamicPluginTensorDesc*,
                                      int32_t output_count) const noexcept {
  // The largest latent of the profile needs most.
  PluginTensorDesc largest = inputs[0].desc;
  largest.dims = inputs[0].max;
  return inner_.getWorkspaceSize(&largest, input_count, nullptr, output_count);
}

int32_t SplitRangeV3::onShapeChange(const PluginTensorDesc*, int32_t, const PluginTensorDesc*,
                                    int32_t) noexcept {
  return 0;
}

int32_t SplitRangeV3::enqueue(const PluginTensorDesc* input_descriptions,
                              const PluginTensorDesc* output_descriptions,
                              const void* const* inputs, void* const* outputs, void* workspace,
                              cudaStream_t stream) noexcept {
  return inner_.enqueue(input_descriptions, output_descriptions, inputs, outputs, workspace,
                        stream);
}

IPluginV3* SplitRangeV3::attachToContext(nvinfer1::IPluginResourceContext*) noexcept {
  SplitRangeV3* copy = static_cast<SplitRangeV3*>(clone());
  if (copy && copy->inner_.initialize() != 0) {
    delete copy;
    return nullptr;
  }
  return copy;
}

const PluginFieldCollection* SplitRangeV3::getFieldsToSerialize() noexcept { return &collection_; }

IPluginV3* SplitRangeV3Creator::createPlugin(const char*, const PluginFieldCollection* collection,
                                             nvinfer1::TensorRTPhase) noexcept {
  try {
    TableFields fields;
    for (int32_t i = 0; collection && i < collection->nbFields; ++i) {
      fields.read(collection->fields[i]);
    }
    std::shared_ptr<sw_tables> tables = fields.build();
    return tables ? new SplitRangeV3(decodes_, fields, tables) : nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

const PluginFieldCollection* SplitRangeV3Creator::getFieldNames() noexcept {
  return of_v2_.getFieldNames();
}
const char* SplitRangeV3Creator::getPluginName() const noexcept { return of_v2_.getPluginName(); }
const char* SplitRangeV3Creator::getPluginVersion() const noexcept {
  return of_v2_.getPluginVersion();
}
const char* SplitRangeV3Creator::getPluginNamespace() const noexcept { return ""; }

}  // namespace splitwatt

#endif
