// The range coder as TensorRT plugins: SplitRangeEncode and SplitRangeDecode, for TensorRT 8.2 to 11
// and TensorRT for RTX. This file is what both of TensorRT's interfaces share: plugin_v2.h has
// IPluginV2DynamicExt, for TensorRT before 10; plugin_v3.h has IPluginV3, for 10 and later and for RTX.
//
// SplitRangeEncode: latent FLOAT [N, C, H, W] -> words INT32 [N, M], length INT32 [N]
//   The bytes of item i are the first length[i] bytes of row i of `words`; a length of -1 says that
//   the latent holds NaN, infinity or a number beyond int32, or that the string does not fit.
//   M is the worst case. With the field `packed`, which IPluginV3 alone knows, M is what the longest
//   string needs, and a third output, words_count INT32 [], is M.
// SplitRangeDecode: words INT32 [N, M], length INT32 [N], like FLOAT [..., H, W]
//                   -> latent FLOAT [N, C, H, W], status INT32 [N]
//   Of `like` only the shape is used; a status that is not 0 is an sw_status.
//
// Fields of both: cdf INT32 [C * width], cdf_length INT32 [C], offset INT32 [C],
// medians FLOAT32 [C], tables_id INT32 [1] (the id's 4 bytes, little endian). The encoder's alone:
// packed INT32 [1], 1 or (the default) 0.
#ifndef SPLITWATT_RANGE_NODE_H
#define SPLITWATT_RANGE_NODE_H

#include <NvInfer.h>

#include <stdint.h>

#include <memory>
#include <vector>

#include "../cuda/launch.h"

namespace splitwatt {

// What a plugin is made of and serialises.
struct TableFields {
  std::vector<int32_t> cdf, length, offset;
  std::vector<float> median;
  uint32_t id = 0;
  int32_t packed = 0;
  bool complete = false;

  TableFields() {}
  explicit TableFields(const nvinfer1::PluginFieldCollection* collection);
  // The tables; null where the fields are missing or do not make tables.
  std::shared_ptr<sw_tables> build() const;
  size_t size() const;
  uint8_t* write(uint8_t* at) const;
  bool parse(const uint8_t* at, size_t size);

 private:
  void read(const nvinfer1::PluginField& field);
};

// The names of the fields, for a creator.
class FieldNames {
 public:
  FieldNames();
  const nvinfer1::PluginFieldCollection* collection() const { return &collection_; }

 private:
  std::vector<nvinfer1::PluginField> fields_;
  nvinfer1::PluginFieldCollection collection_;
};

// One node of a graph, encoder or decoder. Outputs are numbered as above.
class RangeNode {
 public:
  RangeNode(bool decodes, const TableFields& fields, std::shared_ptr<sw_tables> tables)
      : decodes_(decodes), fields_(fields), tables_(tables) {}
  RangeNode(const RangeNode& other) : RangeNode(other.decodes_, other.fields_, other.tables_) {}
  RangeNode& operator=(const RangeNode&) = delete;
  ~RangeNode() { release(); }

  bool decodes() const { return decodes_; }
  const TableFields& fields() const { return fields_; }
  const char* name() const { return name_of(decodes_); }
  static const char* name_of(bool decodes);
  static const char* version() { return "1"; }

  // The shape of an output; M is the worst case.
  nvinfer1::DimsExprs output_shape(int32_t output, const nvinfer1::DimsExprs* inputs,
                                   nvinfer1::IExprBuilder& builder) const;
  nvinfer1::DataType output_type(int32_t output) const;
  // Whether the encoder's rows are as long as the longest string needs.
  bool packs() const { return !decodes_ && fields_.packed != 0; }
  // Whether input or output `position` of the node, counted together, may be in this format.
  bool takes(int32_t position, const nvinfer1::PluginTensorDesc& tensor) const;

  // Put the tables into device memory and free them; false where that failed.
  bool upload() noexcept;
  void release() noexcept;

  size_t encode_scratch(const nvinfer1::Dims& latent) const;
  // As `encode`, with as many words a row as the longest string needs, and that number in `words`.
  size_t packed_scratch(const nvinfer1::Dims& latent) const;
  size_t decode_scratch(const nvinfer1::Dims& words) const;
  // Each returns 0, or another number where the work was not enqueued.
  int encode(const nvinfer1::Dims& latent_dims, const void* latent, size_t capacity, void* words,
             void* length, void* scratch, cudaStream_t stream) const;
  int encode_packed(const nvinfer1::Dims& latent_dims, const void* latent, void* words,
                    void* length, void* words_count, void* scratch, cudaStream_t stream) const;
  int decode(const nvinfer1::Dims& words_dims, const nvinfer1::Dims& latent_dims,
             const void* const* inputs, void* const* outputs, void* scratch,
             cudaStream_t stream) const;

 private:
  bool decodes_;
  TableFields fields_;
  std::shared_ptr<sw_tables> tables_;
  void* blob_ = nullptr;  // device memory
};

// A line on stderr: TensorRT gives a plugin no other place before it has a logger.
void complain(const char* what);

}  // namespace splitwatt

#endif
