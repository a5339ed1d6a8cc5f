/* Start-up: see mgos_app.h. */

#ifndef MGOS_INIT_H
#define MGOS_INIT_H

#include <mgos_app.h>

#endif
