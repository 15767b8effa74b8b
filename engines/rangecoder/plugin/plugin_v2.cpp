#include <NvInferVersion.h>

// From TensorRT 10 on plugin_v3.cpp has the plugins; SW_PLUGIN_V2 is for the tests of registries.
#if NV_TENSORRT_MAJOR < 10 || defined(SW_PLUGIN_V2)

#include "plugin_v2.h"

#include <new>

using nvinfer1::DataType;
using nvinfer1::DimsExprs;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginTensorDesc;

namespace splitwatt {

nvinfer1::IPluginV2DynamicExt* RangePluginV2::clone() const noexcept {
  try {
    return new RangePluginV2(node_, namespace_);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

DimsExprs RangePluginV2::getOutputDimensions(int32_t output, const DimsExprs* inputs, int32_t,
                                             nvinfer1::IExprBuilder& builder) noexcept {
  return node_.output_shape(output, inputs, builder);
}

bool RangePluginV2::supportsFormatCombination(int32_t position, const PluginTensorDesc* tensors,
                                              int32_t input_count, int32_t output_count) noexcept {
  return position < input_count + output_count && node_.takes(position, tensors[position]);
}

void RangePluginV2::configurePlugin(const nvinfer1::DynamicPluginTensorDesc*, int32_t,
                                    const nvinfer1::DynamicPluginTensorDesc*, int32_t) noexcept {}

size_t RangePluginV2::getWorkspaceSize(const PluginTensorDesc* inputs, int32_t,
                                       const PluginTensorDesc*, int32_t) const noexcept {
  const nvinfer1::Dims& first = inputs[0].dims;
  return node_.decodes() ? node_.decode_scratch(first) : node_.encode_scratch(first);
}

int32_t RangePluginV2::enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept {
  if (node_.decodes()) {
    return node_.decode(in[0].dims, out[0].dims, inputs, outputs, workspace, stream);
  }
  return node_.encode(in[0].dims, inputs[0], size_t(out[0].dims.d[1]) * 4, outputs[0], outputs[1],
                      workspace, stream);
}

DataType RangePluginV2::getOutputDataType(int32_t output, const DataType*,
                                          int32_t) const noexcept {
  return node_.output_type(output);
}

const char* RangePluginV2::getPluginType() const noexcept { return node_.name(); }
const char* RangePluginV2::getPluginVersion() const noexcept { return RangeNode::version(); }
int32_t RangePluginV2::getNbOutputs() const noexcept { return 2; }
int32_t RangePluginV2::initialize() noexcept { return node_.upload() ? 0 : -1; }
void RangePluginV2::terminate() noexcept { node_.release(); }
size_t RangePluginV2::getSerializationSize() const noexcept { return node_.fields().size(); }

void RangePluginV2::serialize(void* buffer) const noexcept {
  node_.fields().write(static_cast<uint8_t*>(buffer));
}

void RangePluginV2::destroy() noexcept { delete this; }
void RangePluginV2::setPluginNamespace(const char* name) noexcept { namespace_ = name ? name : ""; }
const char* RangePluginV2::getPluginNamespace() const noexcept { return namespace_.c_str(); }

const char* RangeCreatorV2::getPluginName() const noexcept { return RangeNode::name_of(decodes_); }
const char* RangeCreatorV2::getPluginVersion() const noexcept { return RangeNode::version(); }

const PluginFieldCollection* RangeCreatorV2::getFieldNames() noexcept {
  return names_.collection();
}

PluginBase* RangeCreatorV2::make(const TableFields& fields) const {
  const std::shared_ptr<sw_tables> tables = fields.build();
  return tables ? new RangePluginV2(RangeNode(decodes_, fields, tables), namespace_) : nullptr;
}

PluginBase* RangeCreatorV2::createPlugin(const char*,
                                         const PluginFieldCollection* collection) noexcept {
  try {
    return make(TableFields(collection));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

PluginBase* RangeCreatorV2::deserializePlugin(const char*, const void* data,
                                              size_t size) noexcept {
  try {
    TableFields fields;
    if (!data || !fields.parse(static_cast<const uint8_t*>(data), size)) {
      complain("the serialised plugin is damaged");
      return nullptr;
    }
    return make(fields);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void RangeCreatorV2::setPluginNamespace(const char* name) noexcept {
  namespace_ = name ? name : "";
}
const char* RangeCreatorV2::getPluginNamespace() const noexcept { return namespace_.c_str(); }

// The library registers itself when it is loaded.
#if !defined(SW_NO_REGISTRATION)
namespace {
struct EncodeCreatorV2 : RangeCreatorV2 {
  EncodeCreatorV2() : RangeCreatorV2(false) {}
};
struct DecodeCreatorV2 : RangeCreatorV2 {
  DecodeCreatorV2() : RangeCreatorV2(true) {}
};
}  // namespace
REGISTER_TENSORRT_PLUGIN(EncodeCreatorV2);
REGISTER_TENSORRT_PLUGIN(DecodeCreatorV2);
#endif

}  // namespace splitwatt

#endif
