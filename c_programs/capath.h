/* --capath: a directory of trusted certificates. */
#ifndef CAPATH_H
#define CAPATH_H

#include "settings.h"

/* The certificates of all files there that have some in PEM, one after the other. Ends the program if there are none. */
const void *capath_read(const struct settings *s, size_t *len);

#endif
