// Gives TensorRT the plugins' creators.
#include <NvInferVersion.h>

#if NV_TENSORRT_MAJOR >= 10
#include "plugin_v3.h"
#else
#include "plugin_v2.h"
#endif

#if !defined(SW_NO_REGISTRATION)
#if NV_TENSORRT_MAJOR >= 10

// The registry loads the library and asks it for its creators.
extern "C" SW_API void setLoggerFinder(nvinfer1::ILoggerFinder*) {}

extern "C" SW_API nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static splitwatt::RangeCreatorV3 encode(false), decode(true);
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&encode, &decode};
  count = 2;
  return creators;
}

#else

// The library registers its creators when it is loaded.
namespace splitwatt {
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
}  // namespace splitwatt

#endif
#endif
