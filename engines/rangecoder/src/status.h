/* What the range coder's functions return, on every processor: declared here only, for C, C++, CUDA
 * and, by sw_status_name, for Python. */
#ifndef SPLITWATT_STATUS_H
#define SPLITWATT_STATUS_H

#define SW_STATUSES(status)                                                                      \
  status(SW_OK, 0)                                                                               \
  status(SW_BAD_ARGUMENT, -1) /* a size, pointer, index or table that makes no sense */          \
  status(SW_NO_MEMORY, -2)                                                                       \
  status(SW_NOT_CODABLE, -3)  /* NaN, infinity, a symbol beyond int32 or CompressAI's format */  \
  status(SW_NOT_OURS, -4)     /* the first byte is not this format's */                          \
  status(SW_TRUNCATED, -5)    /* shorter or longer than the header says */                       \
  status(SW_DAMAGED, -6)      /* the CRC does not match, or a number is malformed */             \
  status(SW_OTHER_TABLES, -7) /* the header names other tables */                                \
  status(SW_OTHER_SHAPE, -8)  /* the header names another shape */                               \
  status(SW_DESYNC, -9)       /* intact bytes that do not end where a whole stream ends */       \
  status(SW_OVERFLOW, -10)    /* on a GPU: more escapes than there is room for */

enum sw_status {
#define SW_STATUS(name, number) name = number,
  SW_STATUSES(SW_STATUS)
#undef SW_STATUS
};

#endif
