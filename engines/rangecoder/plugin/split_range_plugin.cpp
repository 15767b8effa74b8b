#include "split_range_plugin.h"

#include "../src/format.h"
#include "split_range_v3.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include <new>

using nvinfer1::DataType;
using nvinfer1::DimensionOperation;
using nvinfer1::DimsExprs;
using nvinfer1::IExprBuilder;
using nvinfer1::IPluginV2;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;

namespace splitwatt {
namespace {

constexpr uint32_t kMagic = 0x31505253;  // "SRP1"
const char* const kNames[2] = {"SplitRangeEncode", "SplitRangeDecode"};

void complain(const char* what) { fprintf(stderr, "splitwatt: range coder plugin: %s\n", what); }

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
  bool sound;
};

// Batch and shape of a latent; false where the kernels' 32-bit sizes do not hold them.
Sizes sizes_of(int64_t items, int64_t rows, int64_t height, int64_t width) {
  const int64_t most = sw::kMaxSymbols - sw::kLanes;
  const bool sound = items > 0 && rows > 0 && height > 0 && width > 0 && items <= most &&
                     height <= most / width && rows <= most / (height * width);
  return Sizes{int32_t(items), int32_t(rows), int32_t(height), int32_t(width), sound};
}

Sizes encode_sizes(const PluginTensorDesc* inputs) {
  const nvinfer1::Dims& latent = inputs[0].dims;
  if (latent.nbDims != 4) return Sizes{0, 0, 0, 0, false};
  return sizes_of(latent.d[0], latent.d[1], latent.d[2], latent.d[3]);
}

}  // namespace

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
    complain("the tables are unsound");
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

SplitRangePlugin::SplitRangePlugin(bool decodes, const TableFields& fields,
                                   std::shared_ptr<sw_tables> tables)
    : decodes_(decodes), fields_(fields), tables_(tables) {}

SplitRangePlugin::~SplitRangePlugin() noexcept { terminate(); }

nvinfer1::IPluginV2DynamicExt* SplitRangePlugin::clone() const noexcept {
  try {
    SplitRangePlugin* copy = new SplitRangePlugin(decodes_, fields_, tables_);
    copy->namespace_ = namespace_;
    return copy;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

DimsExprs SplitRangePlugin::getOutputDimensions(int32_t output, const DimsExprs* inputs, int32_t,
                                                IExprBuilder& builder) noexcept {
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

bool SplitRangePlugin::supportsFormatCombination(int32_t position, const PluginTensorDesc* tensors,
                                                 int32_t, int32_t) noexcept {
  // encode: latent | words, length; decode: words, length, like | latent, status
  static const bool kWhole[2][5] = {{false, true, true}, {true, true, false, false, true}};
  if (position < 0 || position >= (decodes_ ? 5 : 3)) return false;
  const DataType type = kWhole[decodes_][position] ? DataType::kINT32 : DataType::kFLOAT;
  return tensors[position].type == type &&
         tensors[position].format == nvinfer1::TensorFormat::kLINEAR;
}

void SplitRangePlugin::configurePlugin(const nvinfer1::DynamicPluginTensorDesc*, int32_t,
                                       const nvinfer1::DynamicPluginTensorDesc*,
                                       int32_t) noexcept {}

size_t SplitRangePlugin::getWorkspaceSize(const PluginTensorDesc* inputs, int32_t,
                                          const PluginTensorDesc*, int32_t) const noexcept {
  if (decodes_) return sw_cuda_decode_scratch(int32_t(inputs[0].dims.d[0]));
  const Sizes s = encode_sizes(inputs);
  return s.sound ? sw_cuda_encode_scratch(s.items, s.rows, s.height, s.width) : 0;
}

int32_t SplitRangePlugin::enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out,
                                  const void* const* inputs, void* const* outputs, void* workspace,
                                  cudaStream_t stream) noexcept {
  if (!blob_) return -1;
  const int64_t rows = int64_t(fields_.length.size());
  if (!decodes_) {
    const Sizes s = encode_sizes(in);
    if (!s.sound || s.rows != rows) {
      complain("the latent has another number of channels than there are tables");
      return -1;
    }
    return sw_cuda_encode(blob_, static_cast<const float*>(inputs[0]), s.items, s.rows, s.height,
                          s.width, static_cast<uint8_t*>(outputs[0]), size_t(out[0].dims.d[1]) * 4,
                          static_cast<int32_t*>(outputs[1]), workspace, stream);
  }
  const nvinfer1::Dims& latent = out[0].dims;
  const Sizes s = sizes_of(in[0].dims.d[0], rows, latent.d[2], latent.d[3]);
  if (!s.sound) return -1;
  return sw_cuda_decode(blob_, static_cast<const uint8_t*>(inputs[0]), size_t(in[0].dims.d[1]) * 4,
                        static_cast<const int32_t*>(inputs[1]), s.items, s.rows, s.height, s.width,
                        static_cast<float*>(outputs[0]), static_cast<int32_t*>(outputs[1]),
                        workspace, stream);
}

DataType SplitRangePlugin::getOutputDataType(int32_t output, const DataType*,
                                             int32_t) const noexcept {
  return decodes_ && output == 0 ? DataType::kFLOAT : DataType::kINT32;
}

const char* SplitRangePlugin::getPluginType() const noexcept { return kNames[decodes_]; }
const char* SplitRangePlugin::getPluginVersion() const noexcept { return "1"; }
int32_t SplitRangePlugin::getNbOutputs() const noexcept { return 2; }

int32_t SplitRangePlugin::initialize() noexcept {
  if (blob_) return 0;
  try {
    std::vector<uint8_t> bytes(sw_cuda_blob_size(tables_.get()));
    sw_cuda_blob(tables_.get(), bytes.data());
    if (cudaMalloc(&blob_, bytes.size()) != cudaSuccess) {
      blob_ = nullptr;
      complain("the GPU has no memory for the tables");
      return -1;
    }
    const cudaError_t copied =
        cudaMemcpy(blob_, bytes.data(), bytes.size(), cudaMemcpyHostToDevice);
    return copied == cudaSuccess ? 0 : -1;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

void SplitRangePlugin::terminate() noexcept {
  if (blob_) cudaFree(blob_);
  blob_ = nullptr;
}

size_t SplitRangePlugin::getSerializationSize() const noexcept { return fields_.size(); }

void SplitRangePlugin::serialize(void* buffer) const noexcept {
  fields_.write(static_cast<uint8_t*>(buffer));
}

void SplitRangePlugin::destroy() noexcept { delete this; }

void SplitRangePlugin::setPluginNamespace(const char* name) noexcept {
  namespace_ = name ? name : "";
}
const char* SplitRangePlugin::getPluginNamespace() const noexcept { return namespace_.c_str(); }

SplitRangeCreator::SplitRangeCreator(bool decodes) : decodes_(decodes) {
  for (const char* name : {"cdf", "cdf_length", "offset", "tables_id"}) {
    fields_.emplace_back(name, nullptr, PluginFieldType::kINT32, 1);
  }
  fields_.emplace_back("medians", nullptr, PluginFieldType::kFLOAT32, 1);
  collection_.nbFields = int32_t(fields_.size());
  collection_.fields = fields_.data();
}

const char* SplitRangeCreator::getPluginName() const noexcept { return kNames[decodes_]; }
const char* SplitRangeCreator::getPluginVersion() const noexcept { return "1"; }
const PluginFieldCollection* SplitRangeCreator::getFieldNames() noexcept { return &collection_; }

IPluginV2* SplitRangeCreator::make(const TableFields& fields) noexcept {
  try {
    std::shared_ptr<sw_tables> tables = fields.build();
    if (!tables) return nullptr;
    SplitRangePlugin* plugin = new SplitRangePlugin(decodes_, fields, tables);
    plugin->setPluginNamespace(namespace_.c_str());
    return plugin;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

IPluginV2* SplitRangeCreator::createPlugin(const char*,
                                           const PluginFieldCollection* collection) noexcept {
  try {
    TableFields fields;
    for (int32_t i = 0; collection && i < collection->nbFields; ++i) {
      fields.read(collection->fields[i]);
    }
    return make(fields);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

IPluginV2* SplitRangeCreator::deserializePlugin(const char*, const void* data,
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

void SplitRangeCreator::setPluginNamespace(const char* name) noexcept {
  namespace_ = name ? name : "";
}
const char* SplitRangeCreator::getPluginNamespace() const noexcept { return namespace_.c_str(); }

// Up to TensorRT 9 the library registers itself when it is loaded; from 10 on the registry loads it
// and asks for its creators: those of IPluginV3, or, by the older function, those of IPluginV2.
#if NV_TENSORRT_MAJOR < 10
#if !defined(SW_NO_REGISTRATION)
REGISTER_TENSORRT_PLUGIN(SplitRangeEncodeCreator);
REGISTER_TENSORRT_PLUGIN(SplitRangeDecodeCreator);
#endif
#else
namespace {
SplitRangeEncodeCreator encode_creator;
SplitRangeDecodeCreator decode_creator;
SplitRangeV3Creator encode_v3_creator(false), decode_v3_creator(true);
}  // namespace

extern "C" SW_API void setLoggerFinder(nvinfer1::ILoggerFinder*) {}

extern "C" SW_API nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&encode_v3_creator,
                                                               &decode_v3_creator};
  count = 2;
  return creators;
}

extern "C" SW_API nvinfer1::IPluginCreator* const* getPluginCreators(int32_t& count) {
  static nvinfer1::IPluginCreator* const creators[] = {&encode_creator, &decode_creator};
  count = 2;
  return creators;
}
#endif

}  // namespace splitwatt
