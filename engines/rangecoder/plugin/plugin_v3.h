// The plugins by TensorRT's newer interface, which TensorRT 10 and later have and which is the only
// one that TensorRT for RTX imports. A packing encoder declares its third output as the size of its
// first (a size tensor), so that no more than the strings leaves the GPU.
#ifndef SPLITWATT_PLUGIN_V3_H
#define SPLITWATT_PLUGIN_V3_H

#include "range_node.h"

namespace splitwatt {

class RangePluginV3 : public nvinfer1::IPluginV3,
                      public nvinfer1::IPluginV3OneCore,
                      public nvinfer1::IPluginV3OneBuild,
                      public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit RangePluginV3(const RangeNode& node)
      : node_(node), serialized_(node_.fields().as_fields()) {
    collection_.nbFields = int32_t(serialized_.size());
    collection_.fields = serialized_.data();
  }

  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override {
    using nvinfer1::PluginCapabilityType;
    switch (type) {
      case PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
      default: return nullptr;
    }
  }
  nvinfer1::IPluginV3* clone() noexcept override { return copy(); }

  const char* getPluginName() const noexcept override { return node_.name(); }
  const char* getPluginVersion() const noexcept override { return RangeNode::version(); }
  const char* getPluginNamespace() const noexcept override { return ""; }

  int32_t configurePlugin(const DynamicPluginTensorDesc*, int32_t, const DynamicPluginTensorDesc*,
                          int32_t) noexcept override {
    return 0;
  }
  int32_t getOutputDataTypes(DataType* types, int32_t count, const DataType*,
                             int32_t) const noexcept override {
    for (int32_t i = 0; i < count; ++i) types[i] = node_.output_type(i);
    return 0;
  }
  int32_t getOutputShapes(const DimsExprs* inputs, int32_t, const DimsExprs*, int32_t,
                          DimsExprs* outputs, int32_t, IExprBuilder& builder) noexcept override {
    for (int32_t i = 0; i < 2; ++i) outputs[i] = node_.output_shape(i, inputs, builder);
    if (!node_.packs()) return 0;
    // The worst case is four times as long as a usual row. Output 2 is the size of output 0.
    const nvinfer1::IDimensionExpr& worst = *outputs[0].d[1];
    const auto* usual = builder.operation(nvinfer1::DimensionOperation::kFLOOR_DIV, worst,
                                          *builder.constant(4));
    outputs[0].d[1] = builder.declareSizeTensor(2, *usual, worst);
    outputs[2].nbDims = 0;
    return 0;
  }
  bool supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override {
    return position < input_count + output_count && node_.takes(position, tensors[position].desc);
  }
  int32_t getNbOutputs() const noexcept override { return node_.packs() ? 3 : 2; }
  size_t getWorkspaceSize(const DynamicPluginTensorDesc* inputs, int32_t,
                          const DynamicPluginTensorDesc*, int32_t) const noexcept override {
    return node_.scratch(inputs[0].max);  // the largest latent of the profile needs most
  }

  int32_t onShapeChange(const PluginTensorDesc*, int32_t, const PluginTensorDesc*,
                        int32_t) noexcept override {
    return 0;
  }
  int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                  const void* const* inputs, void* const* outputs, void* workspace,
                  cudaStream_t stream) noexcept override {
    return node_.run(in[0].dims, out[0].dims, inputs, outputs, workspace, stream);
  }
  // A copy with its tables on the GPU.
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
    std::unique_ptr<RangePluginV3> attached(copy());
    return attached && attached->node_.upload() ? attached.release() : nullptr;
  }
  const PluginFieldCollection* getFieldsToSerialize() noexcept override { return &collection_; }

 private:
  RangePluginV3* copy() const noexcept {
    return made([&] { return new RangePluginV3(node_); });
  }

  RangeNode node_;
  std::vector<PluginField> serialized_;
  PluginFieldCollection collection_;
};

class RangeCreatorV3 : public nvinfer1::IPluginCreatorV3One {
 public:
  explicit RangeCreatorV3(bool decodes) : decodes_(decodes) {}

  nvinfer1::IPluginV3* createPlugin(const char*, const PluginFieldCollection* collection,
                                    nvinfer1::TensorRTPhase) noexcept override {
    return made([&]() -> RangePluginV3* {
      const TableFields fields(collection);
      const std::shared_ptr<sw_tables> tables = fields.build();
      return tables ? new RangePluginV3(RangeNode(decodes_, fields, tables)) : nullptr;
    });
  }
  const PluginFieldCollection* getFieldNames() noexcept override { return names_.collection(); }
  const char* getPluginName() const noexcept override { return RangeNode::name_of(decodes_); }
  const char* getPluginVersion() const noexcept override { return RangeNode::version(); }
  const char* getPluginNamespace() const noexcept override { return ""; }

 private:
  bool decodes_;
  FieldNames names_;
};

}  // namespace splitwatt

#endif
