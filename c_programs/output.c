#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool batched;

void output_prepare(void) {
  int fd;
  for (fd = 0; fd <= 2; fd++) {
    /* The lowest free number is this one. What cannot be read or written here must not seem to work. */
    if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd) abort();
  }
  signal(SIGPIPE, SIG_IGN);
  batched = !isatty(STDOUT_FILENO);
  if (batched) setvbuf(stdout, NULL, _IOFBF, 1 << 16);
}

bool output_is_batched(void) {
  return batched;
}

bool output_flush(void) {
  return fflush(stdout) == 0 && !ferror(stdout);
}

void output_end_of_pipe(void) {
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
}
