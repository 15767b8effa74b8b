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
#include <new>
#include <vector>

#include "../cuda/launch.h"

namespace splitwatt {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::IExprBuilder;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginTensorDesc;

// What `make` returns; null where no memory is left.
template <class Make>
auto made(Make make) noexcept -> decltype(make()) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// What a plugin is made of and serialises.
struct TableFields {
  std::vector<int32_t> cdf, length, offset;
  std::vector<float> median;
  uint32_t id = 0;
  int32_t packed = 0;
  bool complete = false;

  TableFields() {}
  explicit TableFields(const PluginFieldCollection* collection);
  // The tables; null where the fields are missing or do not make tables.
  std::shared_ptr<sw_tables> build() const;
  // As fields that point to these numbers.
  std::vector<PluginField> as_fields() const;
  size_t size() const;
  uint8_t* write(uint8_t* at) const;
  bool parse(const uint8_t* at, size_t size);

 private:
  void read(const PluginField& field);
};

// The names of the fields, for a creator.
class FieldNames {
 public:
  FieldNames();
  const PluginFieldCollection* collection() const { return &collection_; }

 private:
  std::vector<PluginField> fields_;
  PluginFieldCollection collection_;
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
  DimsExprs output_shape(int32_t output, const DimsExprs* inputs,
                                   IExprBuilder& builder) const;
  DataType output_type(int32_t output) const;
  // Whether the encoder's rows are as long as the longest string needs.
  bool packs() const { return !decodes_ && fields_.packed != 0; }
  // Whether input or output `position` of the node, counted together, may be in this format.
  bool takes(int32_t position, const PluginTensorDesc& tensor) const;

  // Put the tables into device memory and free them; false where that failed.
  bool upload() noexcept;
  void release() noexcept;

  // Bytes of scratch memory for a first input of these dimensions.
  size_t scratch(const Dims& first) const;
  // Enqueues the work for a first input and a first output of these dimensions; returns 0, or another
  // number where it was not enqueued.
  int run(const Dims& first, const Dims& output, const void* const* inputs, void* const* outputs,
          void* scratch, cudaStream_t stream) const;

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
