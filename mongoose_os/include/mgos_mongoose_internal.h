/* mgos_disconnect() was declared here; now it is in mgos_mongoose.h. */

#ifndef MGOS_MONGOOSE_INTERNAL_H
#define MGOS_MONGOOSE_INTERNAL_H

#include <mgos_mongoose.h>

#endif
