/* What the one header of Mongoose 6 brought along: the C library, LOG, buffers, strings, lists, base64, and the connections of the
   library. */

#ifndef CS_MONGOOSE_SRC_COMMON_H_
#define CS_MONGOOSE_SRC_COMMON_H_

#include <common/platform.h>

#include <common/cs_base64.h>
#include <common/cs_dbg.h>
#include <common/mbuf.h>
#include <common/mg_str.h>
#include <common/queue.h>
#include <common/str_util.h>
#include <mgos_mongoose.h>

#endif
