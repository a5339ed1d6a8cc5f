#include <frozen.h>
