// The plugins by TensorRT's older interface, which TensorRT before 10 has; deprecated from 10 on.
#ifndef SPLITWATT_PLUGIN_V2_H
#define SPLITWATT_PLUGIN_V2_H

#include <string>

#include "range_node.h"

namespace splitwatt {

// What NVIDIA's creator makes by its interface: 8.5 and 8.6 call this base class deprecated, and have
// no other name for it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
typedef nvinfer1::IPluginV2 PluginBase;
#pragma GCC diagnostic pop

class RangePluginV2 : public nvinfer1::IPluginV2DynamicExt {
 public:
  explicit RangePluginV2(const RangeNode& node, const std::string& name_space)
      : node_(node), namespace_(name_space) {}

  nvinfer1::IPluginV2DynamicExt* clone() const noexcept override;
  nvinfer1::DimsExprs getOutputDimensions(int32_t output, const nvinfer1::DimsExprs* inputs,
                                          int32_t input_count,
                                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(int32_t position, const nvinfer1::PluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override;
  void configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                       const nvinfer1::DynamicPluginTensorDesc* outputs,
                       int32_t output_count) noexcept override;
  size_t getWorkspaceSize(const nvinfer1::PluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::PluginTensorDesc* outputs,
                          int32_t output_count) const noexcept override;
  int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descriptions,
                  const nvinfer1::PluginTensorDesc* output_descriptions, const void* const* inputs,
                  void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;

  nvinfer1::DataType getOutputDataType(int32_t output, const nvinfer1::DataType* input_types,
                                       int32_t input_count) const noexcept override;

  const char* getPluginType() const noexcept override;
  const char* getPluginVersion() const noexcept override;
  int32_t getNbOutputs() const noexcept override;
  int32_t initialize() noexcept override;
  void terminate() noexcept override;
  size_t getSerializationSize() const noexcept override;
  void serialize(void* buffer) const noexcept override;
  void destroy() noexcept override;
  void setPluginNamespace(const char* name) noexcept override;
  const char* getPluginNamespace() const noexcept override;

 private:
  RangeNode node_;
  std::string namespace_;
};

class RangeCreatorV2 : public nvinfer1::IPluginCreator {
 public:
  explicit RangeCreatorV2(bool decodes) : decodes_(decodes) {}

  const char* getPluginName() const noexcept override;
  const char* getPluginVersion() const noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override;
  PluginBase* createPlugin(const char* name,
                           const nvinfer1::PluginFieldCollection* fields) noexcept override;
  PluginBase* deserializePlugin(const char* name, const void* data, size_t size) noexcept override;
  void setPluginNamespace(const char* name) noexcept override;
  const char* getPluginNamespace() const noexcept override;

 private:
  PluginBase* make(const TableFields& fields) const;

  bool decodes_;
  FieldNames names_;
  std::string namespace_;
};

}  // namespace splitwatt

#endif
