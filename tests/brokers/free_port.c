/* Prints as many free TCP ports of the loopback interface as asked for, in one line. */
#include <stdlib.h>

#include "support.h"

int main(int argc, char **argv) {
  for (int i = argc > 1 ? atoi(argv[1]) : 1; i > 0; i--) printf("%d%c", free_port(), i > 1 ? ' ' : '\n');
  return 0;
}
