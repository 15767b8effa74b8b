#include "range_node.h"

#include "../src/format.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include <new>

using nvinfer1::DimensionOperation;
using nvinfer1::PluginFieldType;

namespace splitwatt {
namespace {

constexpr uint32_t kMagic = 0x31505253;  // "SRP1"

template <class T>
uint8_t* put(uint8_t* at, const T* values, size_t count) {
  memcpy(at, values, count * sizeof(T));
  return at + count * sizeof(T);
}

// Copies `count` numbers if they are there.
template <class T>
bool take(const uint8_t** at, const uint8_t* end, size_t count, std::vector<T>* values) {
  if (count > size_t(end - *at) / sizeof(T)) return false;
  values->resize(count);
  if (count) memcpy(values->data(), *at, count * sizeof(T));
  *at += count * sizeof(T);
  return true;
}

template <class T>
void assign(const PluginField& field, std::vector<T>* values) {
  const T* data = static_cast<const T*>(field.data);
  if (data && field.length > 0) values->assign(data, data + field.length);
}

struct Sizes {
  int32_t items, rows, height, width;
  bool fit;
};

// Batch and shape of a latent, and whether the kernels' 32-bit sizes hold them.
Sizes sizes_of(int64_t items, int64_t rows, int64_t height, int64_t width) {
  const int64_t most = sw::kMaxSymbols - sw::kLanes;
  const bool fit = items > 0 && rows > 0 && height > 0 && width > 0 && items <= most &&
                   height <= most / width && rows <= most / (height * width);
  return Sizes{int32_t(items), int32_t(rows), int32_t(height), int32_t(width), fit};
}

Sizes sizes_of(const Dims& latent) {
  if (latent.nbDims != 4) return Sizes{0, 0, 0, 0, false};
  return sizes_of(latent.d[0], latent.d[1], latent.d[2], latent.d[3]);
}

size_t capacity_of(const Sizes& s) { return sw_cuda_capacity(s.rows, s.height, s.width); }

}  // namespace

void complain(const char* what) { fprintf(stderr, "splitwatt: range coder plugin: %s\n", what); }

TableFields::TableFields(const PluginFieldCollection* collection) {
  for (int32_t i = 0; collection && i < collection->nbFields; ++i) read(collection->fields[i]);
}

void TableFields::read(const PluginField& field) {
  if (!field.name) return;
  const bool whole = field.type == PluginFieldType::kINT32;
  if (!strcmp(field.name, "cdf") && whole) assign(field, &cdf);
  if (!strcmp(field.name, "cdf_length") && whole) assign(field, &length);
  if (!strcmp(field.name, "offset") && whole) assign(field, &offset);
  if (!strcmp(field.name, "medians") && field.type == PluginFieldType::kFLOAT32) {
    assign(field, &median);
  }
  if (!strcmp(field.name, "tables_id") && whole && field.data && field.length == 1) {
    memcpy(&id, field.data, 4);
    complete = true;
  }
  if (!strcmp(field.name, "packed") && whole && field.data && field.length == 1) {
    memcpy(&packed, field.data, 4);
  }
}

std::shared_ptr<sw_tables> TableFields::build() const {
  const size_t count = length.size();
  if (!complete || !count || cdf.size() % count || offset.size() != count ||
      median.size() != count) {
    complain("a field is missing or of the wrong size");
    return nullptr;
  }
  const uint8_t bytes[4] = {uint8_t(id), uint8_t(id >> 8), uint8_t(id >> 16), uint8_t(id >> 24)};
  sw_tables* tables = nullptr;
  if (sw_tables_new(cdf.data(), count, cdf.size() / count, length.data(), offset.data(),
                    median.data(), bytes, &tables) != SW_OK) {
    complain("the fields do not make tables");
    return nullptr;
  }
  return std::shared_ptr<sw_tables>(tables, sw_tables_free);
}

size_t TableFields::size() const {
  return 4 * (5 + cdf.size() + length.size() + offset.size() + median.size());
}

uint8_t* TableFields::write(uint8_t* at) const {
  const uint32_t head[4] = {kMagic, uint32_t(length.size()), uint32_t(cdf.size()), id};
  at = put(at, head, 4);
  at = put(at, cdf.data(), cdf.size());
  at = put(at, length.data(), length.size());
  at = put(at, offset.data(), offset.size());
  at = put(at, median.data(), median.size());
  return put(at, &kMagic, 1);
}

bool TableFields::parse(const uint8_t* at, size_t size) {
  const uint8_t* end = at + size;
  std::vector<uint32_t> head, foot;
  if (!take(&at, end, 4, &head) || head[0] != kMagic) return false;
  id = head[3];
  complete = take(&at, end, head[2], &cdf) && take(&at, end, head[1], &length) &&
             take(&at, end, head[1], &offset) && take(&at, end, head[1], &median) &&
             take(&at, end, 1, &foot) && foot[0] == kMagic && at == end;
  return complete;
}

std::vector<PluginField> TableFields::as_fields() const {
  std::vector<PluginField> fields;
  const auto whole = [&](const char* name, const void* values, size_t count) {
    fields.emplace_back(name, values, PluginFieldType::kINT32, int32_t(count));
  };
  whole("cdf", cdf.data(), cdf.size());
  whole("cdf_length", length.data(), length.size());
  whole("offset", offset.data(), offset.size());
  fields.emplace_back("medians", median.data(), PluginFieldType::kFLOAT32, int32_t(median.size()));
  whole("tables_id", &id, 1);
  whole("packed", &packed, 1);
  return fields;
}

FieldNames::FieldNames() : fields_(TableFields().as_fields()) {
  for (PluginField& field : fields_) field = PluginField(field.name, nullptr, field.type, 1);
  collection_.nbFields = int32_t(fields_.size());
  collection_.fields = fields_.data();
}

const char* RangeNode::name_of(bool decodes) {
  return decodes ? "SplitRangeDecode" : "SplitRangeEncode";
}

DimsExprs RangeNode::output_shape(int32_t output, const DimsExprs* inputs,
                                  IExprBuilder& builder) const {
  DimsExprs dims;
  dims.nbDims = 1;
  dims.d[0] = inputs[0].d[0];
  if (output == 1) return dims;
  if (decodes_) {
    const DimsExprs& like = inputs[2];
    dims.nbDims = 4;
    dims.d[1] = builder.constant(int32_t(fields_.length.size()));
    dims.d[2] = like.d[like.nbDims - 2];
    dims.d[3] = like.d[like.nbDims - 1];
    return dims;
  }
  // sw_cuda_capacity in words: two bytes a symbol, and what an empty latent takes.
  const int32_t without_symbols = int32_t(sw_cuda_capacity(0, 0, 0));
  const auto times = [&](const nvinfer1::IDimensionExpr& a, const nvinfer1::IDimensionExpr& b) {
    return builder.operation(DimensionOperation::kPROD, a, b);
  };
  const auto* symbols = times(*times(*inputs[0].d[1], *inputs[0].d[2]), *inputs[0].d[3]);
  const auto* bytes = builder.operation(DimensionOperation::kSUM,
                                        *times(*symbols, *builder.constant(2)),
                                        *builder.constant(without_symbols));
  dims.nbDims = 2;
  dims.d[1] = builder.operation(DimensionOperation::kFLOOR_DIV, *bytes, *builder.constant(4));
  return dims;
}

DataType RangeNode::output_type(int32_t output) const {
  return decodes_ && output == 0 ? DataType::kFLOAT : DataType::kINT32;
}

bool RangeNode::takes(int32_t position, const PluginTensorDesc& tensor) const {
  // encode: latent | words, length, words_count; decode: words, length, like | latent, status
  static const bool kWhole[2][5] = {{false, true, true, true}, {true, true, false, false, true}};
  if (position < 0 || position >= (decodes_ ? 5 : packs() ? 4 : 3)) return false;
  const DataType type = kWhole[decodes_][position] ? DataType::kINT32 : DataType::kFLOAT;
  return tensor.type == type && tensor.format == nvinfer1::TensorFormat::kLINEAR;
}

bool RangeNode::upload() noexcept {
  if (blob_) return true;
  try {
    std::vector<uint8_t> bytes(sw_cuda_blob_size(tables_.get()));
    sw_cuda_blob(tables_.get(), bytes.data());
    if (cudaMalloc(&blob_, bytes.size()) != cudaSuccess) {
      blob_ = nullptr;
      complain("the GPU has no memory for the tables");
      return false;
    }
    return cudaMemcpy(blob_, bytes.data(), bytes.size(), cudaMemcpyHostToDevice) == cudaSuccess;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void RangeNode::release() noexcept {
  if (blob_) cudaFree(blob_);
  blob_ = nullptr;
}

size_t RangeNode::scratch(const Dims& first) const {
  if (decodes_) return sw_cuda_decode_scratch(int32_t(first.d[0]));
  const Sizes s = sizes_of(first);
  if (!s.fit) return 0;
  const size_t strings = packs() ? size_t(s.items) * capacity_of(s) : 0;
  return sw_cuda_encode_scratch(s.items, s.rows, s.height, s.width) + strings;
}

int RangeNode::run(const Dims& first, const Dims& output, const void* const* inputs,
                   void* const* outputs, void* scratch, cudaStream_t stream) const {
  const int64_t rows = int64_t(fields_.length.size());
  const Sizes s =
      decodes_ ? sizes_of(first.d[0], rows, output.d[2], output.d[3]) : sizes_of(first);
  if (!blob_) return -1;
  if (!s.fit || s.rows != rows) {
    complain("the latent is too large, or has another number of channels than there are tables");
    return -1;
  }
  int32_t* const second = static_cast<int32_t*>(outputs[1]);
  if (decodes_) {
    return sw_cuda_decode(blob_, static_cast<const uint8_t*>(inputs[0]), size_t(first.d[1]) * 4,
                          static_cast<const int32_t*>(inputs[1]), s.items, s.rows, s.height,
                          s.width, static_cast<float*>(outputs[0]), second, scratch, stream);
  }
  // A packing encoder first writes its strings behind its scratch memory.
  const size_t capacity = packs() ? capacity_of(s) : size_t(output.d[1]) * 4;
  uint8_t* strings = static_cast<uint8_t*>(outputs[0]);
  if (packs()) {
    strings = static_cast<uint8_t*>(scratch) +
              sw_cuda_encode_scratch(s.items, s.rows, s.height, s.width);
  }
  const int error =
      sw_cuda_encode(blob_, static_cast<const float*>(inputs[0]), s.items, s.rows, s.height,
                     s.width, strings, capacity, second, scratch, stream);
  if (error || !packs()) return error;
  return sw_cuda_pack(strings, capacity, second, s.items, static_cast<uint32_t*>(outputs[0]),
                      static_cast<int32_t*>(outputs[2]), stream);
}

}  // namespace splitwatt
