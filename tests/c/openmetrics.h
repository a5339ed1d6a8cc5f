/* A strict reader of OpenMetrics text, after https://openmetrics.io: what of it a client library has to obey.
 */
#ifndef TESTS_C_OPENMETRICS_H
#define TESTS_C_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>

/* NULL if the text is valid; otherwise what is wrong, with the number of the line. Valid until the next call.
 */
const char *openmetrics_problem(const char *text);

/* The value of the sample that is written like this, up to its space: `name{label="value"}`. False without
 * one. */
bool openmetrics_value(const char *text, const char *sample, double *value);

#endif
