/* What the range coder's functions return, on every processor. */
#ifndef SPLITWATT_STATUS_H
#define SPLITWATT_STATUS_H

enum sw_status {
  SW_OK = 0,
  SW_BAD_ARGUMENT = -1, /* a size, pointer, index or table that makes no sense */
  SW_NO_MEMORY = -2,
  SW_NOT_CODABLE = -3,  /* NaN, infinity, a symbol beyond int32 or CompressAI's format */
  SW_NOT_OURS = -4,     /* the first byte is not this format's */
  SW_TRUNCATED = -5,    /* shorter or longer than the header says */
  SW_DAMAGED = -6,      /* the CRC does not match, or a number is malformed */
  SW_OTHER_TABLES = -7, /* the header names other tables */
  SW_OTHER_SHAPE = -8,  /* the header names another shape */
  SW_DESYNC = -9,       /* intact bytes that do not end where a whole stream ends */
  SW_OVERFLOW = -10     /* on a GPU: more escapes than there is room for */
};

#endif
