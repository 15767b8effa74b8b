// The range coder as TensorRT plugins: SplitRangeEncode and SplitRangeDecode, one source for
// TensorRT 8.2 to 11: by IPluginV2DynamicExt here, which all of them have, and by IPluginV3 in
// split_range_v3.h.
//
// SplitRangeEncode: latent FLOAT [N, C, H, W] -> words INT32 [N, M], length INT32 [N]
//   The bytes of item i are the first length[i] bytes of row i of `words`; a length of -1 says that
//   the latent holds NaN, infinity or a number beyond int32, or that the string does not fit.
// SplitRangeDecode: words INT32 [N, M], length INT32 [N], like FLOAT [..., H, W]
//                   -> latent FLOAT [N, C, H, W], status INT32 [N]
//   Of `like` only the shape is used; a status that is not 0 is an sw_status.
//
// Fields of both: cdf INT32 [C * width], cdf_length INT32 [C], offset INT32 [C],
// medians FLOAT32 [C], tables_id INT32 [1] (the id's 4 bytes, little endian).
#ifndef SPLITWATT_SPLIT_RANGE_PLUGIN_H
#define SPLITWATT_SPLIT_RANGE_PLUGIN_H

#include <NvInfer.h>

#include <stdint.h>

#include <memory>
#include <string>
#include <vector>

#include "../cuda/launch.h"

namespace splitwatt {

// What a plugin is made of and serialises.
struct TableFields {
  std::vector<int32_t> cdf, length, offset;
  std::vector<float> median;
  uint32_t id = 0;
  bool complete = false;

  void read(const nvinfer1::PluginField& field);
  // The tables; null where the fields are missing or unsound.
  std::shared_ptr<sw_tables> build() const;
  size_t size() const;
  uint8_t* write(uint8_t* at) const;
  bool parse(const uint8_t* at, size_t size);
};

class SplitRangePlugin : public nvinfer1::IPluginV2DynamicExt {
 public:
  SplitRangePlugin(bool decodes, const TableFields& fields, std::shared_ptr<sw_tables> tables);
  ~SplitRangePlugin() noexcept override;
  SplitRangePlugin(const SplitRangePlugin&) = delete;
  SplitRangePlugin& operator=(const SplitRangePlugin&) = delete;

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
  bool decodes_;
  TableFields fields_;
  std::shared_ptr<sw_tables> tables_;
  void* blob_ = nullptr;  // device memory, from initialize() to terminate()
  std::string namespace_;
};

class SplitRangeCreator : public nvinfer1::IPluginCreator {
 public:
  explicit SplitRangeCreator(bool decodes);

  const char* getPluginName() const noexcept override;
  const char* getPluginVersion() const noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override;
  nvinfer1::IPluginV2* createPlugin(
      const char* name, const nvinfer1::PluginFieldCollection* fields) noexcept override;
  nvinfer1::IPluginV2* deserializePlugin(const char* name, const void* data,
                                         size_t size) noexcept override;
  void setPluginNamespace(const char* name) noexcept override;
  const char* getPluginNamespace() const noexcept override;

 private:
  nvinfer1::IPluginV2* make(const TableFields& fields) noexcept;

  bool decodes_;
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_;
  std::string namespace_;
};

class SplitRangeEncodeCreator : public SplitRangeCreator {
 public:
  SplitRangeEncodeCreator() : SplitRangeCreator(false) {}
};

class SplitRangeDecodeCreator : public SplitRangeCreator {
 public:
  SplitRangeDecodeCreator() : SplitRangeCreator(true) {}
};

}  // namespace splitwatt

#endif
