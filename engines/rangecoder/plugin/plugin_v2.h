// The plugins by TensorRT's older interface, which TensorRT before 10 has; deprecated from 10 on.
#ifndef SPLITWATT_PLUGIN_V2_H
#define SPLITWATT_PLUGIN_V2_H

#include <string>

#include "range_node.h"

namespace splitwatt {

class RangePluginV2 : public nvinfer1::IPluginV2DynamicExt {
 public:
  RangePluginV2(const RangeNode& node, const std::string& name_space)
      : node_(node), namespace_(name_space) {}

  nvinfer1::IPluginV2DynamicExt* clone() const noexcept override {
    return made([&] { return new RangePluginV2(node_, namespace_); });
  }
  DimsExprs getOutputDimensions(int32_t output, const DimsExprs* inputs, int32_t,
                                IExprBuilder& builder) noexcept override {
    return node_.output_shape(output, inputs, builder);
  }
  bool supportsFormatCombination(int32_t position, const PluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override {
    return position < input_count + output_count && node_.takes(position, tensors[position]);
  }
  void configurePlugin(const DynamicPluginTensorDesc*, int32_t, const DynamicPluginTensorDesc*,
                       int32_t) noexcept override {}
  size_t getWorkspaceSize(const PluginTensorDesc* inputs, int32_t, const PluginTensorDesc*,
                          int32_t) const noexcept override {
    return node_.scratch(inputs[0].dims);
  }
  int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                  const void* const* inputs, void* const* outputs, void* workspace,
                  cudaStream_t stream) noexcept override {
    return node_.run(in[0].dims, out[0].dims, inputs, outputs, workspace, stream);
  }
  DataType getOutputDataType(int32_t output, const DataType*, int32_t) const noexcept override {
    return node_.output_type(output);
  }

  const char* getPluginType() const noexcept override { return node_.name(); }
  const char* getPluginVersion() const noexcept override { return RangeNode::version(); }
  int32_t getNbOutputs() const noexcept override { return 2; }
  int32_t initialize() noexcept override { return node_.upload() ? 0 : -1; }
  void terminate() noexcept override { node_.release(); }
  size_t getSerializationSize() const noexcept override { return node_.fields().size(); }
  void serialize(void* buffer) const noexcept override {
    node_.fields().write(static_cast<uint8_t*>(buffer));
  }
  void destroy() noexcept override { delete this; }
  void setPluginNamespace(const char* name) noexcept override { namespace_ = name ? name : ""; }
  const char* getPluginNamespace() const noexcept override { return namespace_.c_str(); }

 private:
  RangeNode node_;
  std::string namespace_;
};

class RangeCreatorV2 : public nvinfer1::IPluginCreator {
 public:
  explicit RangeCreatorV2(bool decodes) : decodes_(decodes) {}

  const char* getPluginName() const noexcept override { return RangeNode::name_of(decodes_); }
  const char* getPluginVersion() const noexcept override { return RangeNode::version(); }
  const PluginFieldCollection* getFieldNames() noexcept override { return names_.collection(); }
  RangePluginV2* createPlugin(const char*,
                              const PluginFieldCollection* collection) noexcept override {
    return made([&] { return plugin(TableFields(collection)); });
  }
  RangePluginV2* deserializePlugin(const char*, const void* data, size_t size) noexcept override {
    return made([&]() -> RangePluginV2* {
      TableFields fields;
      if (data && fields.parse(static_cast<const uint8_t*>(data), size)) return plugin(fields);
      complain("the serialised plugin is damaged");
      return nullptr;
    });
  }
  void setPluginNamespace(const char* name) noexcept override { namespace_ = name ? name : ""; }
  const char* getPluginNamespace() const noexcept override { return namespace_.c_str(); }

 private:
  RangePluginV2* plugin(TableFields fields) const {
    fields.packed = 0;  // a packing encoder has a third output, which IPluginV2 cannot have
    const std::shared_ptr<sw_tables> tables = fields.build();
    return tables ? new RangePluginV2(RangeNode(decodes_, fields, tables), namespace_) : nullptr;
  }

  bool decodes_;
  FieldNames names_;
  std::string namespace_;
};

}  // namespace splitwatt

#endif
